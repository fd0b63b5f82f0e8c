/** Joins the parts: the cache, the session, the live stream, the routes. */
import { QueryClient, QueryClientProvider, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Route, Switch } from "wouter";
import { setSignedOutListener } from "./api/client";
import { ApiProblem } from "./api/problem";
import { forgetSession, sessionQuery } from "./api/queries";
import type { Session } from "./api/types";
import { QueryView } from "./components/feedback";
import { LiveContext, useLiveStream } from "./live/use-live";
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
        retry: (count, error) => count < RETRIES_MAX && error instanceof ApiProblem && error.isPassing,
      },
    },
  });
}

function SignedIn({ session }: { session: Session }) {
  const state = useLiveStream();
  return (
    <LiveContext value={state}>
      <Shell session={session}>
        <Switch>
          <Route path="/">
            <OverviewPage session={session} />
          </Route>
          <Route>
            <NotFoundPage />
          </Route>
        </Switch>
      </Shell>
    </LiveContext>
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
  }, [client]);
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
