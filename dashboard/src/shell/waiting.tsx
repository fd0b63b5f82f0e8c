/** The first moment, before we know whether there is a session. */
import { useTranslation } from "react-i18next";
import styles from "./shell.module.css";

export function Waiting() {
  const { t } = useTranslation();
  return (
    <main className={styles.waiting} aria-busy="true">
      <span className="visually-hidden">{t("app.loading")}</span>
    </main>
  );
}
