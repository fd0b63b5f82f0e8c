/** What a region shows while it waits, when it has nothing, and when it failed. */
import type { UseQueryResult } from "@tanstack/react-query";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiProblem, isUnreachable } from "../api/problem";
import { useFormat } from "../i18n/use-format";
import { Button } from "./controls";
import styles from "./feedback.module.css";
import { Icon } from "./icon";

const COPIED_MS = 2_000;

/** Grey bars of the given widths, in the place of what is to come. */
export function Skeleton({ widths, height = "0.875rem" }: { widths: readonly string[]; height?: string }) {
  const { t } = useTranslation();
  return (
    <div className={styles.rows} aria-busy="true">
      <span className="visually-hidden">{t("app.loading")}</span>
      {widths.map((width, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: bars have no identity
        <span key={index} className={styles.skeleton} style={{ width, height }} />
      ))}
    </div>
  );
}

/** A command to be copied, whole, into a terminal. */
export function Command({ text }: { text: string }) {
  const { t } = useTranslation();
  const [isCopied, setCopied] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setCopied(false), COPIED_MS);
  };
  return (
    <div className={styles.command}>
      <code>
        {text.split(/(\s+)(?!\\)/).map((word, index) =>
          index % 2 === 0 ? (
            // biome-ignore lint/suspicious/noArrayIndexKey: words have no identity
            <span key={index} className={styles.word}>
              {word}
            </span>
          ) : (
            word
          ),
        )}
      </code>
      {navigator.clipboard !== undefined && (
        <Button
          look="icon"
          className={styles.copy}
          aria-label={isCopied ? t("app.copied") : t("app.copy")}
          onClick={() => void copy()}
        >
          <Icon name={isCopied ? "check" : "copy"} />
        </Button>
      )}
    </div>
  );
}

export function EmptyState({ title, text, command }: { title: string; text: string; command?: string | undefined }) {
  return (
    <div className={styles.box}>
      <h3>{title}</h3>
      <p>{text}</p>
      {command !== undefined && <Command text={command} />}
    </div>
  );
}

/** The sentence for a failed request: the API's own where it has one, else ours. */
export function useProblemText(): (error: unknown) => string {
  const { t } = useTranslation();
  return (error) => {
    if (!(error instanceof ApiProblem) || error.status === 0) return t("errors.unreachable");
    if (error.detail !== "" && error.status < 500) return error.detail;
    if (error.status === 403) return t("errors.forbidden");
    if (error.status === 404) return t("errors.missing");
    return t(error.status >= 500 ? "errors.server" : "errors.other", { status: error.status });
  };
}

function Failed({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const { t } = useTranslation();
  const problemText = useProblemText();
  return (
    <div className={`${styles.box} ${styles.failed}`} role="alert">
      <p className={styles.problem}>
        <Icon name="error" size={14} />
        <span>{problemText(error)}</span>
      </p>
      <Button small onClick={onRetry}>
        {t("app.retry")}
      </Button>
    </div>
  );
}

function Stale({ since, onRetry }: { since: Date; onRetry: () => void }) {
  const { t } = useTranslation();
  const format = useFormat();
  return (
    <div className={styles.stale} role="status">
      <span>{t("errors.stale", { time: format.time(since, true) })}</span>
      <Button small look="plain" onClick={onRetry}>
        {t("app.retry")}
      </Button>
    </div>
  );
}

interface QueryViewProps<T> {
  query: UseQueryResult<T>;
  skeleton: ReactNode;
  children: (answer: T) => ReactNode;
}

/** Whether a query has nothing to show and will not soon: asking again after a failure is no reason for new hope. */
export const hasFailed = (query: UseQueryResult<unknown>): boolean =>
  query.data === undefined && query.errorUpdateCount > 0;

/** Shows a query's answer; its skeleton before the first one, its error if none came, a notice if the last refresh failed (the shell tells of an API that does not answer at all). */
export function QueryView<T>({ query, skeleton, children }: QueryViewProps<T>) {
  // The error is gone from the query while it asks again; what is seen must not change with each attempt.
  const lastError = useRef<unknown>(undefined);
  if (query.isError) lastError.current = query.error;
  const retry = () => void query.refetch();
  if (query.data === undefined)
    return hasFailed(query) ? <Failed error={lastError.current} onRetry={retry} /> : skeleton;
  return (
    <>
      {query.isError && !isUnreachable(query.error) && <Stale since={new Date(query.dataUpdatedAt)} onRetry={retry} />}
      {children(query.data)}
    </>
  );
}
