/** What a user sees who is signed in without a project: nothing of the overview could be answered. */
import { useTranslation } from "react-i18next";
import { useTitle } from "./use-title";

export function NoProjectPage({ user }: { user: string }) {
  const { t } = useTranslation();
  useTitle(t("app.noProjectTitle"));
  return (
    <>
      <h1>{t("app.noProjectTitle")}</h1>
      <p>{t("app.noProjectText", { user })}</p>
    </>
  );
}
