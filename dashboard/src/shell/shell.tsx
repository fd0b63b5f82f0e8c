/** The frame around every page: where you are, who you are, whether it is live. */
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { POLL_INTERVAL_MS, signOut } from "../api/queries";
import type { Session } from "../api/types";
import { Button } from "../components/controls";
import { useProblemText } from "../components/feedback";
import { Mark } from "../components/icon";
import { useFormat } from "../i18n/use-format";
import { useLiveState } from "../live/use-live";
import { useNow } from "../live/use-now";
import { Outage } from "./outage";
import { LanguageSelect, ThemeSegments } from "./preferences";
import styles from "./shell.module.css";

function LiveMark() {
  const { t } = useTranslation();
  const state = useLiveState();
  const seconds = POLL_INTERVAL_MS / 1000;
  const hint = state === "polling" ? t("live.pollingHint", { seconds }) : t("live.liveHint");
  return (
    <span className={styles.live} data-state={state} role="status" title={hint}>
      <span className={styles.dot} aria-hidden="true" />
      {t(`live.${state}`, { seconds })}
    </span>
  );
}

function SignOut() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const problemText = useProblemText();
  const [problem, setProblem] = useState("");
  const leave = async () => {
    setProblem("");
    try {
      await signOut(client);
    } catch (error) {
      setProblem(problemText(error));
    }
  };
  return (
    <>
      {problem !== "" && (
        <span className={styles.problem} role="alert">
          {problem}
        </span>
      )}
      <Button small onClick={() => void leave()}>
        {t("bar.signOut")}
      </Button>
    </>
  );
}

/** On paper "3 minutes ago" needs to say before what. */
function PrintedAt() {
  const { t } = useTranslation();
  const format = useFormat();
  const now = useNow();
  return <span className={styles.printed}>{t("app.printed", { time: format.dateTime(now) })}</span>;
}

export function Shell({ session, children }: { session: Session; children: ReactNode }) {
  const { t } = useTranslation();
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <>
      <a className={styles.skip} href="#content">
        {t("app.skip")}
      </a>
      <header className={styles.bar}>
        <Link href="/" className={styles.brand}>
          <Mark size={26} />
          <span>{t("app.name")}</span>
        </Link>
        <span className={styles.project} title={t("bar.project")}>
          <span className="visually-hidden">{t("bar.project")}: </span>
          {session.project?.name ?? t("bar.noProject")}
        </span>
        {session.project !== null && <LiveMark />}
        <div className={styles.right}>
          <LanguageSelect />
          <ThemeSegments />
          <span className={styles.user} title={t("bar.signedInAs", { user: session.user.name })}>
            {session.user.name}
          </span>
          <SignOut />
        </div>
      </header>
      <main id="content" className={styles.content} tabIndex={-1}>
        {children}
      </main>
      <Outage />
      <footer className={styles.footer}>
        <span>
          {t("app.footer", { zone })} <PrintedAt />
        </span>
        <a href="/docs">{t("app.apiDocs")}</a>
      </footer>
    </>
  );
}
