/** Says once for the whole page that the API does not answer, and from when what is shown is; it floats, so that nothing moves. */
import { type QueryCache, useQueryClient } from "@tanstack/react-query";
import { useCallback, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { isUnreachable } from "../api/problem";
import { Button } from "../components/controls";
import { Icon } from "../components/icon";
import { useFormat } from "../i18n/use-format";
import styles from "./shell.module.css";

/** When the oldest answer came that could not be refreshed for want of an API; 0 where there is none. */
function outageSince(cache: QueryCache): number {
  const stale = cache
    .getAll()
    .filter(({ state }) => state.status === "error" && state.data !== undefined && isUnreachable(state.error));
  return stale.length === 0 ? 0 : Math.min(...stale.map(({ state }) => state.dataUpdatedAt));
}

export function Outage() {
  const { t } = useTranslation();
  const format = useFormat();
  const client = useQueryClient();
  const cache = client.getQueryCache();
  const subscribe = useCallback((listener: () => void) => cache.subscribe(listener), [cache]);
  const since = useSyncExternalStore(subscribe, () => outageSince(cache));
  const retry = () => void client.refetchQueries({ predicate: ({ state }) => state.status === "error" });
  return (
    <div className={styles.outage} role="status">
      {since > 0 && (
        <p>
          <Icon name="error" />
          <span>{t("errors.outage", { time: format.time(new Date(since), true) })}</span>
          <Button small onClick={retry}>
            {t("app.retry")}
          </Button>
        </p>
      )}
    </div>
  );
}
