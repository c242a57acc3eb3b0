// A video: sent as a job, followed, fetched, cancelled.

import { call, save } from "./service.js";

export class VideoJob {
  /** @param tell called with what the service says of the job, as it goes on */
  constructor(tell) { this.tell = tell; }

  /** Sends a file; resolves with a Blob of the colour video, or null when it was cancelled. */
  async run(file, depth, fov) {
    const query = new URLSearchParams({ depth, ...fov });
    this.stop = new AbortController();
    const sent = await call(`/v1/video?${query}`, {
      method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" }, signal: this.stop.signal,
    });
    let job = await sent.json();
    this.id = job.id;
    if (this.stop.signal.aborted) this.leave();
    while (!this.stop.signal.aborted) {
      this.tell(job);
      if (job.state === "failed") throw new Error(job.problem);
      if (job.state === "done") {
        this.results = job.results;
        return (await call(job.results.colour)).blob();
      }
      await new Promise((next) => setTimeout(next, 700));
      if (this.stop.signal.aborted) break;
      job = await (await call(`/v1/video/${job.id}`)).json();
    }
    return null;
  }

  /** Nobody waits for it any more: what is not done yet is cancelled. */
  leave() {
    if (this.results) return;
    this.stop?.abort();
    if (this.id) call(`/v1/video/${this.id}`, { method: "DELETE" }).catch(() => {});
  }

  async download(what, name) {
    save(await (await call(this.results[what])).blob(), name);
  }
}
