// Videos come and go with what the page shows. Gradio keeps elements that look alike and changes what
// is in them, so that a player may find other videos than it began with, or its button as it was first.
{
  const players = new WeakMap();
  const look = () => {
    for (const root of document.querySelectorAll(".player")) {
      const button = root.querySelector(".play");
      const shown = [...root.querySelectorAll("video")].map((video) => video.src).join(" ");
      const known = players.get(root);
      if (!known || known.player.button !== button) {
        players.set(root, { player: new Player(root), shown });
      } else if (known.shown !== shown) {
        known.shown = shown;
        known.player.take();
      } else if (known.player.leader) {
        const label = known.player.playing ? "Pause" : "Play";
        if (button.textContent !== label) button.textContent = label;
      }
    }
  };
  const changes = { childList: true, subtree: true, characterData: true, attributeFilter: ["src"] };
  new MutationObserver(look).observe(document.documentElement, changes);
  look();
}
