/** All tabs of a browser share one session: each hears when another one has signed in or out. */

const STORAGE_KEY = "nephoscope.session";

/** Say that the session is another now; who it is nobody writes down. */
export function tellOtherTabs(): void {
  try {
    localStorage.setItem(STORAGE_KEY, String(Date.now()));
  } catch {
    // Without storage the others find out by their next refused request.
  }
}

/** Listen for that, until the returned function is called. */
export function onOtherTab(listener: () => void): () => void {
  const hear = ({ key }: StorageEvent) => {
    if (key === STORAGE_KEY) listener();
  };
  window.addEventListener("storage", hear);
  return () => window.removeEventListener("storage", hear);
}
