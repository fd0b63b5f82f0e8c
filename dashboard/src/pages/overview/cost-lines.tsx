/** The table behind the cost so far: a row for each thing that is priced alike, its lines on demand, then the sums. */
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Cost, CostLine } from "../../api/types";
import { Icon } from "../../components/icon";
import { useFormat } from "../../i18n/use-format";
import { type CostRow, foldLines } from "./cost-model";
import styles from "./overview.module.css";

/** What a row charges for, in the reader's language where we know the word. */
function useWords() {
  const { t } = useTranslation();
  const unit = (name: string) => t(`cost.units.${name as "hour"}`, { defaultValue: name });
  const state = (name: string) => t(`cost.states.${name as "active"}`, { defaultValue: name });
  const meterName = (meter: string) =>
    t(`cost.meters.${meter.replaceAll(".", "_") as "disk"}`, { defaultValue: meter });
  const used = ({ meter, flavor_name, state: name }: CostLine) =>
    meter === "instance" ? `${flavor_name}, ${state(name)}` : meterName(meter);
  const title = (line: CostLine) =>
    line.adjusts ? t("cost.adjusts", { invoice: line.adjusts.invoice, what: used(line) }) : used(line);
  return { unit, title };
}

interface RowProps {
  title: string;
  note: string;
  row: Pick<CostRow, "quantity" | "amount" | "amountUnrounded" | "sample">;
  currency: string;
  isDetail?: boolean;
  toggle?: { isOpen: boolean; onToggle: () => void };
}

function Row({ title, note, row, currency, isDetail = false, toggle }: RowProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const words = useWords();
  const { sample } = row;
  const quantity = `${format.quantity(row.quantity)} ${words.unit(sample.unit)}`;
  const price = format.price(sample.unit_price, currency);
  return (
    <tr data-detail={isDetail || undefined}>
      <th scope="row">
        {toggle ? (
          <button type="button" className={styles.fold} aria-expanded={toggle.isOpen} onClick={toggle.onToggle}>
            <Icon name={toggle.isOpen ? "up" : "down"} size={14} />
            {title}
          </button>
        ) : (
          title
        )}
        {note !== "" && <span className={styles.sub}>{note}</span>}
        <span className={`${styles.sub} ${styles.formula}`}>{`${quantity} × ${price}`}</span>
      </th>
      <td title={`${row.quantity} ${sample.unit}`}>{quantity}</td>
      <td>{price}</td>
      <td title={t("cost.exactly", { amount: `${row.amountUnrounded} ${currency}` })}>
        {format.running(row.amount, row.amountUnrounded, currency)}
      </td>
    </tr>
  );
}

function FoldedRow({ row, currency }: { row: CostRow; currency: string }) {
  const { t } = useTranslation();
  const words = useWords();
  const [isOpen, setOpen] = useState(false);
  const title = words.title(row.sample);
  const [only] = row.lines;
  if (row.lines.length === 1 && only)
    return <Row title={title} note={only.resource_name} row={row} currency={currency} />;
  return (
    <>
      <Row
        title={title}
        note={t("cost.alike", { count: row.lines.length })}
        row={row}
        currency={currency}
        toggle={{ isOpen, onToggle: () => setOpen(!isOpen) }}
      />
      {isOpen &&
        row.lines.map((line) => (
          <Row
            key={line.number}
            title={line.resource_name}
            note=""
            row={{ ...line, amountUnrounded: line.amount_unrounded, sample: line }}
            currency={currency}
            isDetail
          />
        ))}
    </>
  );
}

interface SumRowProps {
  label: string;
  rounded: string;
  unrounded: string;
  currency: string;
}

function SumRow({ label, rounded, unrounded, currency }: SumRowProps) {
  const { t } = useTranslation();
  const format = useFormat();
  return (
    <tr>
      <th scope="row" colSpan={3}>
        {label}
      </th>
      <td title={t("cost.exactly", { amount: `${unrounded} ${currency}` })}>
        {format.running(rounded, unrounded, currency)}
      </td>
    </tr>
  );
}

export function CostLines({ cost }: { cost: Cost }) {
  const { t } = useTranslation();
  const { currency } = cost;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard
    <section className={styles.costScroll} aria-label={t("cost.lines")} tabIndex={0}>
      <table className={styles.cost}>
        <caption className="visually-hidden">{t("cost.lines")}</caption>
        <thead>
          <tr>
            <th scope="col">{t("cost.description")}</th>
            <th scope="col">{t("cost.quantity")}</th>
            <th scope="col">{t("cost.unitPrice")}</th>
            <th scope="col">{t("cost.amount")}</th>
          </tr>
        </thead>
        <tbody>
          {foldLines(cost.lines).map((row) => (
            <FoldedRow key={row.key} row={row} currency={currency} />
          ))}
        </tbody>
        <tfoot>
          <SumRow
            label={t("cost.subtotal")}
            rounded={cost.subtotal}
            unrounded={cost.subtotal_unrounded}
            currency={currency}
          />
          <SumRow label={t("cost.total")} rounded={cost.total} unrounded={cost.total_unrounded} currency={currency} />
        </tfoot>
      </table>
    </section>
  );
}
