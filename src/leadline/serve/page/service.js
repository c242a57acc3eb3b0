// What the page asks of the service.

const KEY = "leadline-token";
let ask = async () => null;

/** Called when a token is needed; gives one, or null. */
export function onLocked(how) { ask = how; }

/** A response of the service; throws an Error with its one line where it refuses. Waits where it is told to. */
export async function call(path, options = {}) {
  for (let attempt = 0; ; attempt++) {
    const token = sessionStorage.getItem(KEY);
    const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const response = await fetch(path, { ...options, headers });
    if (response.ok) return response;
    if (response.status === 401) {
      sessionStorage.removeItem(KEY);
      const given = await ask();
      if (given) { sessionStorage.setItem(KEY, given); continue; }
    }
    if (response.status === 429 && attempt < 5) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((next) => setTimeout(next, seconds * 1000));
      continue;
    }
    let line = `the service answered ${response.status}`;
    try { line = (await response.json()).error ?? line; } catch { /* no JSON: the status must do */ }
    throw new Error(line);
  }
}

/** The depth of an image (a Blob) in a format, as a Response. */
export function depthOf(image, format, camera = {}) {
  const query = new URLSearchParams({ format, ...camera });
  return call(`/v1/depth?${query}`, { method: "POST", body: image, headers: { "Content-Type": "application/octet-stream" } });
}

/** Hands a Blob to the user under a name. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
