/** An address that leads nowhere. */
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { useTitle } from "./use-title";

export function NotFoundPage() {
  const { t } = useTranslation();
  useTitle(t("app.notFoundTitle"));
  return (
    <>
      <h1>{t("app.notFoundTitle")}</h1>
      <p>{t("app.notFoundText")}</p>
      <p>
        <Link href="/">{t("app.backHome")}</Link>
      </p>
    </>
  );
}
