//! Who a request comes from: the caller that operations ask for.
//!
//! On the control socket it is the operator. On TCP a clock that has tokens wants one of everybody, but for health and the files
//! of the page, or unless it lets everybody read; one that has none is read on its own machine, and changed by it where it is
//! open to it. A token that may have been read on its way (`connection.rs`) is refused, whatever it permits.

use super::{
    connection::{Connection, Exposure},
    page,
    problem::Problem,
    refusals::{LOG, Refusals},
    seat::Seat,
    shares::NoShare,
    state::HttpState,
};
use crate::{
    authority::{
        Caller, Owners,
        token::{PREFIX, TokenId},
    },
    config::TokenConfig,
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ponos_http::{KnownTokens, bearer};
use std::{net::IpAddr, sync::Arc};

/// Answered whoever asks: probes have no tokens.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// Who may do what by HTTP. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Access(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tokens: KnownTokens<Caller>,
    rules: AccessRules,
    refusals: Refusals,
}

/// What is let in without a token.
#[derive(Debug, Clone, Copy, Default)]
pub struct AccessRules {
    /// Everybody on this machine may change the clock, which has no tokens then.
    pub open: bool,
    /// Everybody who reaches the clock may read it.
    pub open_reads: bool,
    /// Connections come from a proxy that encrypts, and says so of each request.
    pub behind_proxy: bool,
}

impl Access {
    /// For the holders of these tokens, and whom the rules let in.
    pub fn new(tokens: &[TokenConfig], owners: &Owners, rules: AccessRules) -> Self {
        let known = tokens.iter().map(|token| {
            let caller = Caller::holder(token.id.clone(), &token.owner, token.role, token.domains.clone())
                .sending(token.tasks.clone());
            (token.id.clone(), token.digest, owners.limit(caller, token.quota))
        });
        let known = known.collect();
        Self(Arc::new(Inner { tokens: known, rules, refusals: Refusals::default() }))
    }

    /// Whether there are tokens.
    pub(super) fn has_tokens(&self) -> bool {
        !self.0.tokens.is_empty()
    }

    /// Whether nobody is let in without one.
    pub(super) fn wants_tokens(&self) -> bool {
        self.has_tokens() && !self.0.rules.open_reads
    }

    pub(super) fn is_behind_proxy(&self) -> bool {
        self.0.rules.behind_proxy
    }

    /// Has the log told of refused tokens to the last, for as long as it is polled.
    pub(super) async fn follow(self) {
        loop {
            tokio::time::sleep(LOG).await;
            self.0.refusals.flush();
        }
    }

    /// Who asks; none without a token where one is wanted.
    pub(super) fn caller(
        &self,
        connection: Connection,
        headers: &HeaderMap,
    ) -> Result<Option<Caller>, Problem> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let credentials = given.next();
        if given.next().is_some() {
            return Err(Problem::bad("a request has one Authorization header at most"));
        }
        let bearer = credentials.and_then(|credentials| bearer(credentials.as_bytes()));
        if let Some(token) = bearer.filter(|token| token.starts_with(PREFIX))
            && let Some(exposure) = connection.exposed(headers, self.0.rules.behind_proxy)
        {
            self.note_exposed(exposure, connection.peer, token);
            return Err(Problem::new(StatusCode::FORBIDDEN, exposure.told()));
        }
        let rules = self.0.rules;
        if !self.has_tokens() && rules.open && connection.is_from_this_machine(headers) {
            return Ok(Some(Caller::anybody()));
        }
        let Some(_) = credentials.filter(|_| self.has_tokens()) else {
            // What came through a proxy that nobody declared may come from anywhere.
            let is_here = || !self.has_tokens() && connection.is_from_this_machine(headers);
            return Ok((rules.open_reads || is_here()).then(Caller::reader));
        };
        match bearer.ok_or(None).and_then(|token| self.holder(token)) {
            Ok(caller) => Ok(Some(caller)),
            Err(id) => Err(self.unknown(connection.peer, id.as_ref())),
        }
    }

    /// The holder of a token that is known, else its id if it has the form of a token.
    fn holder(&self, token: &str) -> Result<Caller, Option<TokenId>> {
        self.0.tokens.holder(token).cloned()
    }

    fn unknown(&self, peer: Option<IpAddr>, id: Option<&TokenId>) -> Problem {
        match self.0.refusals.note_unknown(peer, id) {
            true => Problem::new(
                StatusCode::UNAUTHORIZED,
                "this token is not known here: it is misspelt, or was replaced (see [[http.tokens]] in the clock's configuration)",
            ),
            false => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests come with a token that is not known; yours is not known either",
            ),
        }
    }

    fn note_exposed(&self, exposure: Exposure, peer: Option<IpAddr>, token: &str) {
        self.0.refusals.note_exposed(exposure, peer, self.holder(token).ok().as_ref());
    }

    /// Notes what came on a port that speaks TLS, and was not encrypted; whether something in it may have been read: nobody
    /// reads what does not leave this machine.
    pub(super) fn note_clear(&self, connection: Connection, headers: &HeaderMap) -> bool {
        if connection.is_from_this_machine(headers) {
            return false;
        }
        let given = headers.get_all(header::AUTHORIZATION).iter();
        let tokens = given.filter_map(|credentials| bearer(credentials.as_bytes()));
        tokens.for_each(|token| self.note_exposed(Exposure::Clear, connection.peer, token));
        headers.contains_key(header::AUTHORIZATION)
    }

    /// Notes that somebody was denied a change, or asked for it too often.
    pub(super) fn note_denied(&self, caller: &Caller, what: &str) {
        self.0.refusals.note_denied(caller, what);
    }
}

/// Finds out who asks, for the handlers.
pub(super) async fn authenticate(
    State(state): State<HttpState>,
    mut request: Request,
    next: Next,
) -> Response {
    let connection = request.extensions().get().copied().unwrap_or(Connection::UNKNOWN);
    let is_health = HEALTH.contains(&request.uri().path());
    match state.access.caller(connection, request.headers()) {
        Ok(Some(caller)) => {
            if let Some(seat) = request.extensions().get::<Arc<Seat>>()
                && let Err(why) = seated(seat, &caller)
                && !is_health
            {
                return Problem::no_share(why, "connections").into_response();
            }
            let whose = state.whose(&caller, connection);
            request.extensions_mut().insert(whose);
            request.extensions_mut().insert(caller);
        }
        Ok(None) if is_health || page::is_asked(request.method(), request.uri(), request.headers()) => {}
        Ok(None) if !state.access.has_tokens() => {
            return Problem::new(StatusCode::FORBIDDEN, ELSEWHERE).into_response();
        }
        Ok(None) => {
            let what = "this clock wants a token: send it as 'Authorization: Bearer kh_...' (khronos: --token-file, or KHRONOS_TOKEN with --url)";
            return Problem::new(StatusCode::UNAUTHORIZED, what).into_response();
        }
        Err(problem) => return problem.into_response(),
    }
    next.run(request).await
}

/// What somebody is told who is not on the machine of a clock that is only read there.
const ELSEWHERE: &str = "this clock has no tokens, and is read on its own machine alone; this request came by way of a proxy (X-Forwarded-For, Forwarded, Via): declare it with http.behind_proxy = true, and make tokens (khronos token new), or let everybody read with http.open_reads = true";

/// Gives the place of a connection to the owner of the token that was shown on it; whether there is one to be heard on.
fn seated(seat: &Seat, caller: &Caller) -> Result<(), NoShare> {
    if caller.has_token() {
        seat.show(caller.owner())?;
    }
    seat.refusal().map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::{
        super::connection::tests::{from, headers},
        *,
    };
    use crate::authority::{
        Domains, Quota, Role,
        token::{RANDOM_BYTES, Token},
    };

    const HERE: Connection =
        Connection { local: None, peer: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)), encrypted: false };

    fn token(byte: u8) -> Token {
        Token::from_random([byte; RANDOM_BYTES])
    }

    fn known(byte: u8, role: Role) -> TokenConfig {
        let token = token(byte);
        let domains = Domains::new(vec!["billing.*".into()]).unwrap();
        TokenConfig {
            id: token.id(),
            digest: token.digest(),
            owner: "billing".into(),
            role,
            domains,
            tasks: None,
            quota: Quota::USUAL,
        }
    }

    fn with(token: &Token) -> HeaderMap {
        headers(&[("authorization", &format!("Bearer {}", token.reveal()))])
    }

    fn status(answer: Result<Option<Caller>, Problem>) -> u16 {
        answer.map_or_else(|problem| problem.into_response().status().as_u16(), |_| 200)
    }

    #[test]
    fn a_token_is_its_holders_and_no_other_is() {
        let access = Access::new(
            &[known(1, Role::Write), known(2, Role::Read)],
            &Owners::default(),
            AccessRules::default(),
        );
        let caller = access.caller(HERE, &with(&token(1))).unwrap().unwrap();
        assert!(caller.may(Role::Write, "write").is_ok() && caller.may(Role::Admin, "rule").is_err());
        assert!(caller.may_change("billing.invoice.due").is_ok() && caller.may_change("a.b.c").is_err());
        let reader = access.caller(HERE, &with(&token(2))).unwrap().unwrap();
        assert!(reader.may(Role::Read, "read").is_ok() && reader.may(Role::Operate, "x").is_err());
        assert_eq!(access.caller(HERE, &HeaderMap::new()).unwrap(), None);

        let right = token(1).reveal().to_owned();
        // Its id is known; the rest is another token's.
        let mixed = format!("{}{}", &right[..12], &token(2).reveal()[12..]);
        for wrong in [&mixed, token(3).reveal(), "", "x", &right[..54], &format!("{right}x")] {
            let given = headers(&[("authorization", &format!("Bearer {wrong}"))]);
            assert_eq!(status(access.caller(HERE, &given)), 401, "{wrong}");
        }
        for credentials in [&*format!("Basic {right}"), &right, "Bearer", "Bearer\t"] {
            assert_eq!(status(access.caller(HERE, &headers(&[("authorization", credentials)]))), 401);
        }
        let lower = headers(&[("authorization", &format!("bearer  {right}"))]);
        assert_eq!(status(access.caller(HERE, &lower)), 200);
        let bearer = format!("Bearer {right}");
        let twice = headers(&[("authorization", &bearer), ("authorization", &bearer)]);
        assert_eq!(status(access.caller(HERE, &twice)), 400);
    }

    #[test]
    fn a_token_in_the_clear_from_elsewhere_is_refused_whatever_it_permits() {
        let access = |behind_proxy| {
            Access::new(
                &[known(1, Role::Admin)],
                &Owners::default(),
                AccessRules { behind_proxy, ..AccessRules::default() },
            )
        };
        let said = |access: Access, connection, lines: &[(&'static str, &str)]| {
            let mut given = with(&token(1));
            given.extend(headers(lines));
            access.caller(connection, &given).map_err(|problem| problem.detail)
        };
        let elsewhere = from("10.0.0.7", false);
        let https = ("x-forwarded-proto", "https");
        assert!(said(access(false), from("127.0.0.1", false), &[]).is_ok());
        assert!(said(access(false), from("10.0.0.7", true), &[]).is_ok());
        assert!(said(access(true), elsewhere, &[https]).is_ok());
        for refused in [
            said(access(false), elsewhere, &[]),
            said(access(false), elsewhere, &[https]),
            said(access(false), from("127.0.0.1", false), &[("x-forwarded-proto", "http")]),
            said(access(true), elsewhere, &[]),
            said(access(true), from("127.0.0.1", false), &[]),
            said(access(true), elsewhere, &[("x-forwarded-proto", "https, http")]),
        ] {
            let refused = refused.unwrap_err();
            assert!(
                refused.contains("replace it (khronos token new)") && !refused.contains("kh_"),
                "{refused}"
            );
        }
        // The same of a clock that knows no tokens, and of a token that nobody knows.
        let none = Access::default();
        assert_eq!(status(none.caller(elsewhere, &with(&token(9)))), 403);
        let basic = headers(&[("authorization", "Basic eDp5")]);
        assert_eq!(none.caller(HERE, &basic).unwrap(), Some(Caller::reader()));
        assert_eq!(none.caller(elsewhere, &basic).unwrap(), None);
    }

    #[test]
    fn without_tokens_this_machine_reads_and_changes_what_is_open_and_others_read_where_that_is_said() {
        let none = AccessRules::default();
        let open = AccessRules { open: true, ..none };
        let open_reads = AccessRules { open_reads: true, ..none };
        let may = |rules, connection: Connection, lines: &[(&'static str, &str)]| {
            let caller =
                Access::new(&[], &Owners::default(), rules).caller(connection, &headers(lines)).unwrap();
            caller.map(|caller| {
                assert!(caller.may(Role::Read, "read").is_ok());
                caller.may(Role::Operate, "reload").is_ok()
            })
        };
        let (reads, changes) = (Some(false), Some(true));
        let elsewhere = from("10.0.0.7", false);
        assert_eq!(may(none, HERE, &[]), reads);
        assert_eq!(may(open, HERE, &[]), changes);
        assert_eq!((may(none, elsewhere, &[]), may(open, elsewhere, &[])), (None, None));
        assert_eq!(may(open_reads, elsewhere, &[]), reads);
        // Through a proxy, or a tunnel that says so, anybody may come from anywhere.
        for line in [("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=10.0.0.7"), ("via", "1.1 proxy")] {
            assert_eq!((may(none, HERE, &[line]), may(open, HERE, &[line])), (None, None), "{line:?}");
            assert_eq!(may(open_reads, HERE, &[line]), reads, "{line:?}");
        }
    }

    #[test]
    fn with_tokens_everybody_reads_only_where_that_is_said_and_nobody_changes() {
        let elsewhere = from("10.0.0.7", false);
        for (open_reads, read) in [(true, true), (false, false)] {
            let rules = AccessRules { open_reads, ..AccessRules::default() };
            let access = Access::new(&[known(1, Role::Admin)], &Owners::default(), rules);
            let caller = access.caller(elsewhere, &HeaderMap::new()).unwrap();
            assert_eq!(caller.is_some(), read);
            assert!(caller.is_none_or(|caller| caller.may(Role::Operate, "reload").is_err()));
            // Who shows a token is wanted to show a right one.
            assert_eq!(status(access.caller(HERE, &with(&token(2)))), 401);
        }
    }

    #[test]
    fn owners_change_things_at_a_rate_of_their_own() {
        let mut other = known(3, Role::Operate);
        other.owner = "reports".into();
        let tokens = [known(1, Role::Operate), known(2, Role::Write), other];
        let owners = Owners::new(tokens.iter().map(|token| (&*token.owner, token.quota)));
        let access = Access::new(&tokens, &owners, AccessRules::default());
        let caller = |byte| access.caller(HERE, &with(&token(byte))).unwrap().unwrap();
        let now = tokio::time::Instant::now();
        let taken = (0..1_000)
            .take_while(|number| caller(1 + u8::from(number % 2 == 0)).take_change(now).is_ok())
            .count();
        assert_eq!(taken, 200, "two tokens of one owner share his");
        assert!(caller(3).take_change(now).is_ok() && Caller::operator().take_change(now).is_ok());
    }

    #[test]
    fn a_flood_of_wrong_tokens_is_told_to_wait_and_locks_nobody_out() {
        let access = Access::new(&[known(1, Role::Read)], &Owners::default(), AccessRules::default());
        let flood: Vec<u16> = (0..60).map(|_| status(access.caller(HERE, &with(&token(2))))).collect();
        assert!(flood.contains(&401) && flood.contains(&429), "{flood:?}");
        assert_eq!(status(access.caller(HERE, &with(&token(1)))), 200);
    }
}
