/** What the period has cost so far, line by line. Amounts are decimal text from the API to the screen. */
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { costQuery } from "../../api/queries";
import type { Cost } from "../../api/types";
import { Card } from "../../components/card";
import { EmptyState, QueryView, Skeleton } from "../../components/feedback";
import { useFormat } from "../../i18n/use-format";
import { useIsLive } from "../../live/use-live";
import { curlCommand, terminalCommand } from "./model";
import styles from "./overview.module.css";

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

function CostLines({ cost }: { cost: Cost }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { currency, lines } = cost;
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
          {lines.map((line) => (
            <tr key={line.number}>
              <th scope="row">
                {line.description}
                <span className={styles.sub}>{line.meter}</span>
                <span className={`${styles.sub} ${styles.formula}`}>
                  {format.quantity(line.quantity)} {line.unit} × {format.price(line.unit_price, currency)}
                </span>
              </th>
              <td title={`${line.quantity} ${line.unit}`}>
                {format.quantity(line.quantity)} <span className={styles.unit}>{line.unit}</span>
              </td>
              <td>{format.price(line.unit_price, currency)}</td>
              <td title={t("cost.exactly", { amount: `${line.amount_unrounded} ${currency}` })}>
                {format.running(line.amount, line.amount_unrounded, currency)}
              </td>
            </tr>
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

function CostView({ cost, projectName }: { cost: Cost; projectName: string | undefined }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { currency, forecast, lines, unbilled } = cost;
  const notes = [t("cost.period", { period: format.period(cost.period) })];
  if (forecast !== null) notes.push(t("cost.forecast", { amount: format.amount(forecast, currency) }));
  const isUnpriced = lines.length === 0 && unbilled.length > 0;
  return (
    <>
      <div className={styles.costHead}>
        <span className={styles.costTotal}>{format.running(cost.total, cost.total_unrounded, currency)}</span>
        <span className={styles.sub}>{notes.join(" · ")}</span>
      </div>
      {lines.length > 0 && <CostLines cost={cost} />}
      {lines.length === 0 && (
        <EmptyState
          title={t(isUnpriced ? "cost.unpricedTitle" : "cost.emptyTitle")}
          text={t(isUnpriced ? "cost.unpricedText" : "cost.emptyText")}
          command={terminalCommand(projectName, curlCommand("/billing/account/plans"))}
        />
      )}
      {lines.length > 0 && unbilled.length > 0 && (
        <p className={styles.sub}>{t("cost.unbilled", { count: unbilled.length })}</p>
      )}
    </>
  );
}

export function CostCard({ projectName }: { projectName: string | undefined }) {
  const { t } = useTranslation();
  const query = useQuery(costQuery(useIsLive()));
  return (
    <Card title={t("cost.title")}>
      <QueryView query={query} skeleton={<Skeleton widths={["35%", "100%", "100%"]} height="1.25rem" />}>
        {(cost) => <CostView cost={cost} projectName={projectName} />}
      </QueryView>
    </Card>
  );
}
