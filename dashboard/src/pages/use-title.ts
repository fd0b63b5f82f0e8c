/** The title of the browser's tab, as long as a page is shown. */
import { useEffect } from "react";
import { useTranslation } from "react-i18next";

export function useTitle(title: string): void {
  const { t } = useTranslation();
  useEffect(() => {
    document.title = `${title} · ${t("app.name")}`;
  }, [title, t]);
}
