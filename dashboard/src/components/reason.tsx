/** Why something was decided: in the reader's language where we can, the API's own words on hover. */
import { useTranslation } from "react-i18next";
import { reasonIn } from "../i18n/reasons";
import { useFormat } from "../i18n/use-format";

export function ReasonText({ reason, className }: { reason: string; className?: string | undefined }) {
  const { i18n } = useTranslation();
  const format = useFormat();
  const { text, language } = reasonIn(i18n.language, reason, (at) => format.time(at, true));
  return (
    <p className={className} lang={language} title={reason}>
      {text}
    </p>
  );
}
