/** What the period has cost so far, line by line. Amounts are decimal text from the API to the screen. */
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { costQuery } from "../../api/queries";
import type { Cost } from "../../api/types";
import { Card } from "../../components/card";
import { EmptyState, QueryView, Skeleton } from "../../components/feedback";
import { useFormat } from "../../i18n/use-format";
import { useIsLive } from "../../live/use-live";
import styles from "./overview.module.css";

function CostLines({ cost }: { cost: Cost }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { currency, lines, total } = cost;
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
          {lines.map((line, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a line is known by its place on the statement
            <tr key={index}>
              <th scope="row">
                {line.description}
                <span className={styles.sub}>{line.meter}</span>
              </th>
              <td title={`${line.quantity} ${line.unit}`}>
                {format.quantity(line.quantity)} <span className={styles.unit}>{line.unit}</span>
              </td>
              <td>{format.price(line.unit_price, currency)}</td>
              <td title={t("cost.exactly", { amount: `${line.amount} ${currency}` })}>
                {format.amount(line.amount, currency)}
              </td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row" colSpan={3}>
              {t("cost.total")}
            </th>
            <td title={t("cost.exactly", { amount: `${total} ${currency}` })}>{format.amount(total, currency)}</td>
          </tr>
        </tfoot>
      </table>
    </section>
  );
}

function CostView({ cost }: { cost: Cost }) {
  const { t } = useTranslation();
  const format = useFormat();
  const period = format.period(new Date(cost.period.start), new Date(cost.period.end));
  return (
    <>
      <div className={styles.costHead}>
        <span className={styles.costTotal}>{format.amount(cost.total, cost.currency)}</span>
        <span className={styles.sub}>
          {t("cost.period", { period })}
          {typeof cost.forecast === "string" &&
            ` · ${t("cost.forecast", { amount: format.amount(cost.forecast, cost.currency) })}`}
        </span>
      </div>
      {cost.lines.length === 0 ? (
        <EmptyState title={t("cost.emptyTitle")} text={t("cost.emptyText")} />
      ) : (
        <CostLines cost={cost} />
      )}
    </>
  );
}

export function CostCard() {
  const { t } = useTranslation();
  const query = useQuery(costQuery(useIsLive()));
  return (
    <Card title={t("cost.title")}>
      <QueryView query={query} skeleton={<Skeleton widths={["35%", "100%", "100%"]} height="1.25rem" />}>
        {(cost) => <CostView cost={cost} />}
      </QueryView>
    </Card>
  );
}
