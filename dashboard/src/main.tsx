/** Starts the dashboard. */
import "@fontsource-variable/inter";
import "./theme/tokens.css";
import "./theme/base.css";
import "./i18n";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { printLight } from "./theme/theme";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
printLight();
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
