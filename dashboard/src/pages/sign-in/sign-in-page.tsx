/** Signing in with a user name, a password and, if wished, a project. */
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiProblem } from "../../api/problem";
import { sessionQuery, signIn } from "../../api/queries";
import { Button, inputClass } from "../../components/controls";
import { useProblemText } from "../../components/feedback";
import { Icon, Mark } from "../../components/icon";
import { LanguageSelect, ThemeSegments } from "../../shell/preferences";
import { useTitle } from "../use-title";
import styles from "./sign-in.module.css";

/** Where a keyboard is at hand, and not one that would cover half of the page. */
const WITH_KEYBOARD = "(pointer: fine)";
const USERS_FILE = "var/clouds.yaml";

function useSignIn() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const problemText = useProblemText();
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);

  const sentence = (error: unknown): string => {
    if (error instanceof ApiProblem && (error.status === 401 || error.status === 403)) return t("signIn.wrong");
    if (error instanceof ApiProblem && error.status === 429) return t("signIn.tooMany");
    return problemText(error);
  };
  const submit = async (username: string, password: string, project: string): Promise<boolean> => {
    if (username === "" || password === "") {
      setProblem(t("signIn.missing"));
      return false;
    }
    setBusy(true);
    setProblem("");
    try {
      client.setQueryData(sessionQuery.queryKey, await signIn(username, password, project));
      return true;
    } catch (error) {
      setProblem(sentence(error));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { problem, isBusy, submit };
}

function PasswordField({ id, describedBy }: { id: string; describedBy: string | undefined }) {
  const { t } = useTranslation();
  const [isShown, setShown] = useState(false);
  return (
    <div className={styles.password}>
      <input
        id={id}
        name="password"
        type={isShown ? "text" : "password"}
        autoComplete="current-password"
        required
        aria-describedby={describedBy}
        className={inputClass}
      />
      <Button
        look="icon"
        className={styles.reveal}
        aria-label={t(isShown ? "signIn.hidePassword" : "signIn.showPassword")}
        aria-pressed={isShown}
        onClick={() => setShown(!isShown)}
      >
        <Icon name="eye" />
      </Button>
    </div>
  );
}

function SignInForm({ hasExpired }: { hasExpired: boolean }) {
  const { t } = useTranslation();
  const { problem, isBusy, submit } = useSignIn();
  const id = useId();
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (window.matchMedia(WITH_KEYBOARD).matches)
      form.current?.querySelector<HTMLInputElement>("[name=username]")?.focus();
  }, []);
  const onSubmit = async (event: FormEvent) => {
    event.preventDefault();
    const fields = new FormData(form.current ?? undefined);
    const text = (name: string) => String(fields.get(name) ?? "");
    const isIn = await submit(text("username").trim(), text("password"), text("project").trim());
    if (!isIn) form.current?.querySelector<HTMLInputElement>("[name=password]")?.focus();
  };
  const describedBy = problem === "" ? undefined : `${id}-problem`;
  return (
    <form ref={form} className={styles.form} onSubmit={(event) => void onSubmit(event)} noValidate>
      {hasExpired && problem === "" && (
        <p className={styles.notice} role="status">
          {t("signIn.expired")}
        </p>
      )}
      {problem !== "" && (
        <p id={describedBy} className={styles.problem} role="alert">
          <Icon name="error" />
          <span>{problem}</span>
        </p>
      )}
      <label htmlFor={`${id}-username`}>{t("signIn.username")}</label>
      <input
        id={`${id}-username`}
        name="username"
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        required
        aria-describedby={describedBy}
        className={inputClass}
      />
      <label htmlFor={`${id}-password`}>{t("signIn.password")}</label>
      <PasswordField id={`${id}-password`} describedBy={describedBy} />
      <label htmlFor={`${id}-project`}>{t("signIn.project")}</label>
      <input
        id={`${id}-project`}
        name="project"
        autoCapitalize="none"
        spellCheck={false}
        aria-describedby={`${id}-hint`}
        className={inputClass}
      />
      <p id={`${id}-hint`} className={styles.hint}>
        {t("signIn.projectHint")}
      </p>
      <Button type="submit" look="primary" disabled={isBusy} className={styles.submit}>
        {t(isBusy ? "signIn.busy" : "signIn.submit")}
      </Button>
    </form>
  );
}

export function SignInPage({ hasExpired }: { hasExpired: boolean }) {
  const { t } = useTranslation();
  useTitle(t("signIn.title"));
  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <div className={styles.brand}>
          <Mark size={36} />
          <span>{t("app.name")}</span>
        </div>
        <h1>{t("signIn.title")}</h1>
        <p className={styles.lead}>{t("signIn.lead")}</p>
        <SignInForm hasExpired={hasExpired} />
        <p className={styles.hint}>
          {t("signIn.hint")} <code>{USERS_FILE}</code>
        </p>
      </div>
      <div className={styles.preferences}>
        <LanguageSelect />
        <ThemeSegments />
      </div>
    </main>
  );
}
