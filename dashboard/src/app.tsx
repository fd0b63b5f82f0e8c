/** Joins the parts: the cache, the session, the live stream, the routes. */
import { QueryClient, QueryClientProvider, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Route, Switch } from "wouter";
import { setSignedOutListener } from "./api/client";
import { ApiProblem } from "./api/problem";
import { forgetSession, sessionQuery } from "./api/queries";
import { onOtherTab } from "./api/tabs";
import type { Project, Session } from "./api/types";
import { QueryView } from "./components/feedback";
import { LiveContext, useLiveStream } from "./live/use-live";
import { NoProjectPage } from "./pages/no-project";
import { NotFoundPage } from "./pages/not-found";
import { OverviewPage } from "./pages/overview/overview-page";
import { SignInPage } from "./pages/sign-in/sign-in-page";
import { Shell } from "./shell/shell";
import { Waiting } from "./shell/waiting";

const RETRIES_MAX = 2;

export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 2_000,
        // The API may run on this machine: it answers though the browser knows of no network.
        networkMode: "always",
        retry: (count, error) => count < RETRIES_MAX && error instanceof ApiProblem && error.isPassing,
      },
    },
  });
}

function InProject({ session, project }: { session: Session; project: Project }) {
  const state = useLiveStream();
  return (
    <LiveContext value={state}>
      <Shell session={session}>
        <Switch>
          <Route path="/">
            <OverviewPage project={project} />
          </Route>
          <Route>
            <NotFoundPage />
          </Route>
        </Switch>
      </Shell>
    </LiveContext>
  );
}

function SignedIn({ session }: { session: Session }) {
  if (session.project !== null) return <InProject session={session} project={session.project} />;
  return (
    <Shell session={session}>
      <NoProjectPage user={session.user.name} />
    </Shell>
  );
}

/** The page that was asked for once there is a session; sign-in, in its place and under its address, until then. */
function Gate() {
  const client = useQueryClient();
  const session = useQuery(sessionQuery);
  const [hasExpired, setExpired] = useState(false);
  useEffect(() => {
    setSignedOutListener(() => {
      setExpired(true);
      forgetSession(client);
    });
    return onOtherTab(() => void client.resetQueries());
  }, [client]);
  useEffect(() => {
    if (session.data) setExpired(false);
  }, [session.data]);
  return (
    <QueryView query={session} skeleton={<Waiting />}>
      {(signedIn) =>
        signedIn === null ? (
          <SignInPage hasExpired={hasExpired} />
        ) : (
          <SignedIn key={`${signedIn.user.id} ${signedIn.project?.id ?? ""}`} session={signedIn} />
        )
      }
    </QueryView>
  );
}

export function App({ client: given }: { client?: QueryClient }) {
  const [client] = useState(() => given ?? makeQueryClient());
  return (
    <QueryClientProvider client={client}>
      <Gate />
    </QueryClientProvider>
  );
}
