//! Who a request comes from: the caller that operations ask for.
//!
//! On the control socket it is the operator. On TCP a clock that has tokens wants one of everybody, but for health, or unless
//! it lets everybody read; one that has none is read on its own machine, and changed by it where it is open to it. A token
//! that may have been read on its way (`connection.rs`) is refused, whatever it permits.

use super::{
    connection::Connection,
    problem::Problem,
    refusals::{LOG, Refusals},
    shares::Share,
    state::HttpState,
};
use crate::{
    authority::{
        Caller, Rate,
        token::{PREFIX, RANDOM_BYTES, Token, TokenDigest, TokenId},
    },
    config::TokenConfig,
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, LazyLock},
};

/// Answered whoever asks: probes have no tokens.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// Changes a second of one owner, and at once after a rest: many more than people and scripts make.
const CHANGES: (u32, u32) = (20, 200);

/// Compared with where an id is not known, so that this takes as long as where it is.
static NOBODYS: LazyLock<TokenDigest> = LazyLock::new(|| Token::from_random([0; RANDOM_BYTES]).digest());

/// Who may do what by HTTP. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Access(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tokens: HashMap<TokenId, (TokenDigest, Caller)>,
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
    pub fn new(tokens: &[TokenConfig], rules: AccessRules) -> Self {
        let mut rates: HashMap<&str, Arc<Rate>> = HashMap::new();
        let mut known = HashMap::new();
        for token in tokens {
            let rate = rates.entry(&token.owner).or_insert_with(|| Arc::new(Rate::new(CHANGES.0, CHANGES.1)));
            let caller = Caller::holder(token.id.clone(), &token.owner, token.role, token.domains.clone());
            known.insert(token.id.clone(), (token.digest, caller.at_rate(rate.clone())));
        }
        Self(Arc::new(Inner { tokens: known, rules, refusals: Refusals::default() }))
    }

    /// Whether there are tokens: then one owner may not take what others need too.
    pub(super) fn has_tokens(&self) -> bool {
        !self.0.tokens.is_empty()
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
    fn caller(&self, connection: Connection, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let credentials = given.next();
        if given.next().is_some() {
            return Err(Problem::bad("a request has one Authorization header at most"));
        }
        let bearer = credentials.and_then(|credentials| bearer(credentials.as_bytes()));
        if let Some(token) = bearer.filter(|token| token.starts_with(PREFIX))
            && let Some(what) = connection.exposed(headers, self.0.rules.behind_proxy)
        {
            self.note_exposed(connection.peer, token);
            return Err(Problem::new(StatusCode::FORBIDDEN, what));
        }
        let rules = self.0.rules;
        if !self.has_tokens() && rules.open && connection.is_from_this_machine(headers) {
            return Ok(Some(Caller::anybody()));
        }
        let Some(_) = credentials.filter(|_| self.has_tokens()) else {
            // Without tokens the clock listens on loopback, or the configuration says that everybody may read.
            let may_read = rules.open_reads || !self.has_tokens();
            return Ok(may_read.then(Caller::reader));
        };
        match bearer.ok_or(None).and_then(|token| self.holder(token)) {
            Ok(caller) => Ok(Some(caller)),
            Err(id) => Err(self.unknown(connection.peer, id.as_ref())),
        }
    }

    /// The holder of a token that is known, else its id if it has the form of a token. Each try of that form costs one digest
    /// and one comparison, whether its id is known or not.
    fn holder(&self, token: &str) -> Result<Caller, Option<TokenId>> {
        let token: Token = token.parse().map_err(|_| None)?;
        let (id, digest) = (token.id(), token.digest());
        let known = self.0.tokens.get(&id);
        let is_right = known.map_or(&*NOBODYS, |(known, _)| known) == &digest;
        known.filter(|_| is_right).map(|(_, caller)| caller.clone()).ok_or(Some(id))
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

    fn note_exposed(&self, peer: Option<IpAddr>, token: &str) {
        match self.holder(token) {
            Ok(holder) => self.0.refusals.note_exposed(peer, &holder),
            Err(_) => self.0.refusals.note_exposed(peer, &"a token that is not known here"),
        }
    }

    /// Notes what came on a port that speaks TLS, and was not encrypted; whether there was a token in it.
    pub(super) fn note_clear(&self, connection: Connection, headers: &HeaderMap) -> bool {
        let given = headers.get_all(header::AUTHORIZATION).iter();
        let tokens = given.filter_map(|credentials| bearer(credentials.as_bytes()));
        tokens.map(|token| self.note_exposed(connection.peer, token)).count() > 0
    }
}

/// The token of `Bearer TOKEN`.
fn bearer(credentials: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(credentials).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Finds out who asks, for the handlers.
pub(super) async fn authenticate(
    State(state): State<HttpState>,
    mut request: Request,
    next: Next,
) -> Response {
    let connection = request.extensions().get().copied().unwrap_or(Connection::UNKNOWN);
    match state.access.caller(connection, request.headers()) {
        Ok(Some(caller)) => {
            // Who shows a token has places by his name from here on, and none by his address.
            if caller.has_token()
                && let Some(share) = request.extensions().get::<Arc<Share<IpAddr>>>()
            {
                share.release();
            }
            request.extensions_mut().insert(caller);
        }
        Ok(None) if HEALTH.contains(&request.uri().path()) => {}
        Ok(None) => {
            let what = "this clock wants a token: send it as 'Authorization: Bearer kh_...' (khronos: --token-file, or KHRONOS_TOKEN with --url)";
            return Problem::new(StatusCode::UNAUTHORIZED, what).into_response();
        }
        Err(problem) => return problem.into_response(),
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Domains, Role};

    const HERE: Connection =
        Connection { local: None, peer: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)), encrypted: false };

    fn from(peer: &str, encrypted: bool) -> Connection {
        Connection { local: None, peer: Some(peer.parse().unwrap()), encrypted }
    }

    fn token(byte: u8) -> Token {
        Token::from_random([byte; RANDOM_BYTES])
    }

    fn known(byte: u8, role: Role) -> TokenConfig {
        let token = token(byte);
        let domains = Domains::new(vec!["billing.*".into()]).unwrap();
        TokenConfig { id: token.id(), digest: token.digest(), owner: "billing".into(), role, domains }
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn with(token: &Token) -> HeaderMap {
        headers(&[("authorization", &format!("Bearer {}", token.reveal()))])
    }

    fn status(answer: Result<Option<Caller>, Problem>) -> u16 {
        answer.map_or_else(|problem| problem.into_response().status().as_u16(), |_| 200)
    }

    #[test]
    fn a_token_is_its_holders_and_no_other_is() {
        let access = Access::new(&[known(1, Role::Write), known(2, Role::Read)], AccessRules::default());
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
            Access::new(&[known(1, Role::Admin)], AccessRules { behind_proxy, ..AccessRules::default() })
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
        assert_eq!(status(none.caller(elsewhere, &headers(&[("authorization", "Basic eDp5")]))), 200);
    }

    #[test]
    fn without_tokens_everybody_reads_and_changes_only_what_is_open_on_this_machine() {
        let open = AccessRules { open: true, ..AccessRules::default() };
        let may = |rules, connection: Connection, lines: &[(&'static str, &str)]| {
            let caller = Access::new(&[], rules).caller(connection, &headers(lines)).unwrap().unwrap();
            assert!(caller.may(Role::Read, "read").is_ok());
            caller.may(Role::Operate, "reload").is_ok()
        };
        assert!(!may(AccessRules::default(), HERE, &[]));
        assert!(may(open, HERE, &[]));
        assert!(!may(open, from("10.0.0.7", false), &[]));
        // Through a proxy, or a tunnel that says so, anybody may come from anywhere.
        for line in [("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=10.0.0.7"), ("via", "1.1 proxy")] {
            assert!(!may(open, HERE, &[line]), "{line:?}");
        }
    }

    #[test]
    fn with_tokens_everybody_reads_only_where_that_is_said_and_nobody_changes() {
        let elsewhere = from("10.0.0.7", false);
        for (open_reads, read) in [(true, true), (false, false)] {
            let rules = AccessRules { open_reads, ..AccessRules::default() };
            let access = Access::new(&[known(1, Role::Admin)], rules);
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
        let access = Access::new(&tokens, AccessRules::default());
        let caller = |byte| access.caller(HERE, &with(&token(byte))).unwrap().unwrap();
        let now = tokio::time::Instant::now();
        let taken = (0..1_000)
            .take_while(|number| caller(1 + u8::from(number % 2 == 0)).take_change(now).is_ok())
            .count();
        assert_eq!(taken, CHANGES.1 as usize, "two tokens of one owner share his");
        assert!(caller(3).take_change(now).is_ok() && Caller::operator().take_change(now).is_ok());
    }

    #[test]
    fn a_flood_of_wrong_tokens_is_told_to_wait_and_locks_nobody_out() {
        let access = Access::new(&[known(1, Role::Read)], AccessRules::default());
        let flood: Vec<u16> = (0..60).map(|_| status(access.caller(HERE, &with(&token(2))))).collect();
        assert!(flood.contains(&401) && flood.contains(&429), "{flood:?}");
        assert_eq!(status(access.caller(HERE, &with(&token(1)))), 200);
    }
}
