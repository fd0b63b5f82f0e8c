/** A moment: how long ago, with the exact time on hover and for machines. */
import { useFormat } from "../i18n/use-format";
import { useNow } from "../live/use-now";

export function Ago({ at }: { at: string }) {
  const format = useFormat();
  const now = useNow();
  const moment = new Date(at);
  return (
    <time dateTime={at} title={format.dateTime(moment)}>
      {format.ago(moment, now)}
    </time>
  );
}
