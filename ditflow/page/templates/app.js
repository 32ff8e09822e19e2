// Videos come and go with what the page shows: each new group of them gets a player.
{
  const played = new WeakSet();
  const look = () => {
    for (const root of document.querySelectorAll(".player")) {
      if (played.has(root)) continue;
      played.add(root);
      new Player(root);
    }
  };
  new MutationObserver(look).observe(document.documentElement, { childList: true, subtree: true });
  look();
}
