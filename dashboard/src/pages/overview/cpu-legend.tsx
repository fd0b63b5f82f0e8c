/** The lines of the CPU chart by name, with their value under the cursor or else the last one; each can be switched off. */
import { useTranslation } from "react-i18next";
import { type ChartFrame, lastValue } from "../../charts/align";
import { type LineStyle, lineStyle } from "../../charts/palette";
import { AGGREGATE } from "../../charts/time-chart";
import { useFormat } from "../../i18n/use-format";
import styles from "./overview.module.css";

const AGGREGATE_STYLE: LineStyle = { colour: "--series-aggregate", dash: [], isPlain: false };

function Swatch({ style, width }: { style: LineStyle; width: number }) {
  return (
    <svg aria-hidden="true" width="20" height="8" viewBox="0 0 20 8">
      <path d="M0 4h20" stroke={`var(${style.colour})`} strokeWidth={width} strokeDasharray={style.dash.join(" ")} />
    </svg>
  );
}

interface CpuLegendProps {
  frame: ChartFrame;
  cursor: number | null;
  hidden: ReadonlySet<string>;
  onToggle: (id: string) => void;
}

export function CpuLegend({ frame, cursor, hidden, onToggle }: CpuLegendProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const ids = frame.lines.map((line) => line.id);
  const styled = frame.lines.map((line) => ({ ...line, style: lineStyle(line.id, ids), width: 2 }));
  const named = styled.filter((line) => !line.style.isPlain);
  const more = styled.length - named.length;
  const aggregate = {
    id: AGGREGATE,
    name: t("cpu.aggregate"),
    values: frame.aggregate,
    style: AGGREGATE_STYLE,
    width: 3,
  };
  const shownValue = (values: readonly (number | null)[]): string => {
    const value = cursor === null ? lastValue(values) : (values[cursor] ?? null);
    return value === null ? "–" : format.percent(value);
  };
  const at = cursor === null ? undefined : frame.times[cursor];
  return (
    <div className={styles.legend}>
      <ul aria-label={t("cpu.series")}>
        {[aggregate, ...named].map((line) => (
          <li key={line.id}>
            <button type="button" aria-pressed={!hidden.has(line.id)} onClick={() => onToggle(line.id)}>
              <Swatch style={line.style} width={line.width} />
              <span className={styles.legendName}>{line.name}</span>
              <span className={styles.legendValue}>{shownValue(line.values)}</span>
            </button>
          </li>
        ))}
        {more > 0 && <li className={styles.legendMore}>{t("cpu.more", { count: more })}</li>}
      </ul>
      {at !== undefined && <span className={styles.legendTime}>{format.time(new Date(at * 1000), true)}</span>}
    </div>
  );
}
