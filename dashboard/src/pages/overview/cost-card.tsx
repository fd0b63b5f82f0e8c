/** What the period has cost so far, line by line. Amounts are decimal text from the API to the screen. */
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { costQuery } from "../../api/queries";
import type { Cost } from "../../api/types";
import { Card } from "../../components/card";
import { EmptyState, QueryView, Skeleton } from "../../components/feedback";
import { isBelow } from "../../i18n/decimal";
import { useFormat } from "../../i18n/use-format";
import { useIsLive } from "../../live/use-live";
import { CostLines } from "./cost-lines";
import { curlCommand, terminalCommand } from "./model";
import styles from "./overview.module.css";

function CostView({ cost, projectName }: { cost: Cost; projectName: string }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { currency, forecast, lines, unbilled } = cost;
  const notes = [t("cost.period", { period: format.period(cost.period), currency })];
  // The pace of the whole period says too little while the project is young.
  const isTelling = forecast !== null && !isBelow(forecast, cost.total_unrounded);
  if (isTelling) notes.push(t("cost.forecast", { amount: format.amount(forecast, currency) }));
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

export function CostCard({ projectName }: { projectName: string }) {
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
