// Runs before the first paint, so that a kept theme and language never flash the other one. A file, since the CSP allows no inline script.
(() => {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem("nephoscope.theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    const language = localStorage.getItem("nephoscope.language") || navigator.language;
    root.lang = language.startsWith("ja") ? "ja" : "en";
  } catch {
    // Storage may be closed to us; the system's choice then holds.
  }
})();
