"use strict";

// Plays the videos of an element as one: the longest leads, the others are kept in step with it. All
// show the same motion, frame by frame: a much shorter one has the same frames at a higher rate, and
// is slowed down; one that lacks a frame or two waits at its end.
class Player {
  constructor(root) {
    this.root = root;
    this.button = root.querySelector(".play");
    this.slider = root.querySelector(".seek");
    this.time = root.querySelector(".time");
    this.speed = root.querySelector(".speed");
    this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.taken = 0;
    this.button.addEventListener("click", () => this.play(!this.playing));
    this.slider.addEventListener("input", () => {
      this.play(false);
      this.seek(Number(this.slider.value));
    });
    this.speed.addEventListener("change", () => this.follow());
    this.take();
    this.tick();
  }

  // Takes the videos that are in the element now, and begins once all of them can be shown.
  async take() {
    const taken = ++this.taken;
    this.videos = [];
    this.leader = null;
    const videos = [...this.root.querySelectorAll("video")];
    await Promise.all(videos.map(Player.ready));
    if (taken !== this.taken) return; // others were taken meanwhile
    this.videos = videos.filter((video) => video.readyState >= 2 && video.duration > 0);
    for (const video of videos) {
      if (!this.videos.includes(video)) Player.explain(video);
    }
    this.controls(this.videos.length > 0);
    if (this.videos.length === 0) return;
    this.leader = this.videos.reduce((a, b) => (b.duration > a.duration ? b : a));
    this.slider.max = this.leader.duration;
    this.play(this.playing);
  }

  static ready(video) {
    return new Promise((resolve) => {
      if (video.readyState >= 2 || video.error) return resolve();
      for (const event of ["loadeddata", "error"]) {
        video.addEventListener(event, resolve, { once: true });
      }
    });
  }

  static explain(video) {
    const text = document.createElement("p");
    text.className = "missing error";
    text.textContent = "This video cannot be shown; is its file beside the page?";
    video.replaceWith(text);
  }

  controls(on) {
    for (const control of [this.button, this.slider, this.speed]) control.disabled = !on;
  }

  play(on) {
    this.playing = on;
    this.button.textContent = on ? "Pause" : "Play";
    if (!this.leader) return;
    if (on && this.leader.currentTime >= this.leader.duration) this.seek(0);
    for (const video of this.videos) {
      if (!on) video.pause();
      else if (!video.ended || video === this.leader) video.play().catch(() => this.refused());
    }
    if (!on) this.seek(this.leader.currentTime);
  }

  // A browser may refuse to start by itself.
  refused() {
    if (this.playing && this.leader && this.leader.paused) this.play(false);
  }

  pace(video) {
    const share = video.duration / this.leader.duration;
    return share < 0.8 ? share : 1;
  }

  seek(time) {
    for (const video of this.videos) {
      video.currentTime = Math.min(time * this.pace(video), video.duration);
    }
  }

  follow() {
    const rate = Number(this.speed.value);
    for (const video of this.videos) {
      const pace = this.pace(video);
      const due = this.leader.currentTime * pace;
      const apart = due - video.currentTime;
      if (video === this.leader || due >= video.duration || video.seeking) {
        video.playbackRate = rate * pace;
      } else if (Math.abs(apart) > 0.25) {
        video.currentTime = due;
      } else {
        video.playbackRate = rate * pace * (Math.abs(apart) > 0.02 ? 1 + 2 * apart : 1);
      }
    }
  }

  tick() {
    if (!this.button.isConnected) return; // another took its place
    if (this.leader) {
      if (this.playing && this.leader.ended) {
        this.seek(0);
        this.play(true);
      } else if (this.playing) {
        this.follow();
      }
      const now = this.leader.currentTime;
      if (document.activeElement !== this.slider || this.playing) this.slider.value = now;
      this.time.textContent = `${now.toFixed(1)} of ${this.leader.duration.toFixed(1)} s`;
    }
    requestAnimationFrame(() => this.tick());
  }
}
