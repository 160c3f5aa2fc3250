//! Who a request comes from: the caller that operations ask for.
//!
//! On the control socket it is the operator. On TCP a clock that has tokens wants one of everybody, but for health; one
//! that has none lets everybody read, and change something only where it is open to its machine. A token that came over
//! a network in the clear is refused, whatever it permits: whoever listened has it.

use super::{problem::Problem, state::HttpState};
use crate::{
    authority::{
        Caller,
        token::{PREFIX, Token, TokenDigest, TokenId},
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
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Wrong tokens that are answered with the reason in a while; those beyond are told to come back later.
const FAILURES: u32 = 50;
/// The while.
const WHILE: Duration = Duration::from_secs(1);
/// At most one line of the log in this long says that there were some.
const LOG: Duration = Duration::from_secs(10);

/// Answered whoever asks: probes have no tokens.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// The connection that a request came by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    /// The address of our end. A Host header that gives it comes from a client that used no name.
    pub(super) local: Option<IpAddr>,
    /// The address of the other end.
    pub(super) peer: Option<IpAddr>,
    /// Whether this clock encrypts it.
    pub(super) encrypted: bool,
}

impl Connection {
    fn is_from_this_machine(&self) -> bool {
        self.peer.is_some_and(|peer| peer.to_canonical().is_loopback())
    }
}

/// Who may do what by HTTP. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Access(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tokens: HashMap<TokenId, (TokenDigest, Caller)>,
    open: bool,
    behind_proxy: bool,
    failures: Mutex<Failures>,
}

impl Access {
    /// `open`: everybody on this machine may change the clock, which has no tokens then. `behind_proxy`: connections come
    /// from a proxy that encrypts.
    pub fn new(tokens: &[TokenConfig], open: bool, behind_proxy: bool) -> Self {
        let known = |token: &TokenConfig| {
            let caller = Caller::holder(token.id.clone(), &token.owner, token.role, token.domains.clone());
            (token.id.clone(), (token.digest, caller))
        };
        let tokens = tokens.iter().map(known).collect();
        Self(Arc::new(Inner { tokens, open, behind_proxy, failures: Mutex::default() }))
    }

    /// Who asks; none without a token where one is wanted.
    fn caller(&self, connection: Connection, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let credentials = given.next();
        if given.next().is_some() {
            return Err(Problem::bad("a request has one Authorization header at most"));
        }
        let bearer = credentials.and_then(|credentials| bearer(credentials.as_bytes()));
        if bearer.is_some_and(|token| token.starts_with(PREFIX))
            && self.came_in_the_clear(connection, headers)
        {
            let what = "a token came over the network in the clear, and may have been read on its way: replace it (khronos token new), and send the next one by https";
            return Err(Problem::new(StatusCode::FORBIDDEN, what));
        }
        if self.0.tokens.is_empty() {
            let is_open = self.0.open && connection.is_from_this_machine();
            return Ok(Some(if is_open { Caller::anybody() } else { Caller::reader() }));
        }
        if credentials.is_none() {
            return Ok(None);
        }
        match bearer.and_then(|token| self.holder(token)) {
            Some(caller) => Ok(Some(caller)),
            None => Err(self.failed(connection.peer)),
        }
    }

    fn came_in_the_clear(&self, connection: Connection, headers: &HeaderMap) -> bool {
        if self.0.behind_proxy {
            let forwarded = headers.get("x-forwarded-proto").map(|proto| proto.as_bytes());
            return forwarded.is_some_and(|proto| proto.trim_ascii().eq_ignore_ascii_case(b"http"));
        }
        !connection.encrypted && !connection.is_from_this_machine()
    }

    /// The holder of a token that is known. Each try costs one digest, whether its id is known or not.
    fn holder(&self, token: &str) -> Option<Caller> {
        let token: Token = token.parse().ok()?;
        let digest = token.digest();
        let (known, caller) = self.0.tokens.get(&token.id())?;
        (*known == digest).then(|| caller.clone())
    }

    fn failed(&self, peer: Option<IpAddr>) -> Problem {
        let mut failures = self.0.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, unsaid) = failures.note(Instant::now());
        drop(failures);
        if let Some(count) = unsaid {
            let peer = peer.map_or_else(|| "?".to_owned(), |peer| peer.to_string());
            tracing::warn!(
                "{count} requests with a token that is not known were refused, the last one from {peer}"
            );
        }
        match told {
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
}

/// The token of `Bearer TOKEN`.
fn bearer(credentials: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(credentials).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// How many requests with a wrong token there were.
#[derive(Debug, Default)]
struct Failures {
    /// When the present while began, and how many came in it.
    current: Option<(Instant, u32)>,
    logged: Option<Instant>,
    /// Since the last line.
    unsaid: u64,
}

impl Failures {
    /// One more: whether it is told why, and how many the log is to be told of now.
    fn note(&mut self, now: Instant) -> (bool, Option<u64>) {
        let count = match &mut self.current {
            Some((began, count)) if now.saturating_duration_since(*began) < WHILE => {
                *count = count.saturating_add(1);
                *count
            }
            current => current.insert((now, 1)).1,
        };
        self.unsaid = self.unsaid.saturating_add(1);
        let due = self.logged.is_none_or(|logged| now.saturating_duration_since(logged) >= LOG);
        let unsaid = due.then(|| {
            self.logged = Some(now);
            std::mem::take(&mut self.unsaid)
        });
        (count <= FAILURES, unsaid)
    }
}

/// Finds out who asks, for the handlers.
pub(super) async fn authenticate(
    State(state): State<HttpState>,
    mut request: Request,
    next: Next,
) -> Response {
    let unknown = Connection { local: None, peer: None, encrypted: false };
    let connection = request.extensions().get().copied().unwrap_or(unknown);
    match state.access.caller(connection, request.headers()) {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
        }
        Ok(None) if HEALTH.contains(&request.uri().path()) => {}
        Ok(None) => {
            let what = "this clock wants a token: send it as 'Authorization: Bearer kh_...' (khronos: --token-file, or KHRONOS_TOKEN)";
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
        Token::from_random([byte; crate::authority::token::RANDOM_BYTES])
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
        let access = Access::new(&[known(1, Role::Write), known(2, Role::Read)], false, false);
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
        let access = |proxy| Access::new(&[known(1, Role::Admin)], false, proxy);
        let said = |access: Access, connection, lines: &[(&'static str, &str)]| {
            let mut given = with(&token(1));
            given.extend(headers(lines));
            access.caller(connection, &given).map_err(|problem| problem.detail)
        };
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(said(access(false), from(here, false), &[]).is_ok(), "{here}");
        }
        for elsewhere in ["10.0.0.7", "192.0.2.2", "fd00::2", "::ffff:10.0.0.7"] {
            let refused = said(access(false), from(elsewhere, false), &[]).unwrap_err();
            assert!(refused.contains("replace it (khronos token new)"), "{refused}");
            assert!(!refused.contains("kh_"), "{refused}");
            assert!(said(access(false), from(elsewhere, true), &[]).is_ok());
            // A header that anybody can send says nothing.
            assert!(said(access(false), from(elsewhere, false), &[("x-forwarded-proto", "https")]).is_err());
            assert!(said(access(true), from(elsewhere, false), &[]).is_ok());
            assert!(said(access(true), from(elsewhere, false), &[("x-forwarded-proto", "https")]).is_ok());
            assert!(said(access(true), from(elsewhere, false), &[("x-forwarded-proto", " HTTP")]).is_err());
        }
        let unknown = Connection { local: None, peer: None, encrypted: false };
        assert!(said(access(false), unknown, &[]).is_err());
        // The same of a clock that knows no tokens, and of a token that nobody knows.
        let none = Access::default();
        let elsewhere = from("10.0.0.7", false);
        assert_eq!(status(none.caller(elsewhere, &with(&token(9)))), 403);
        assert_eq!(status(none.caller(elsewhere, &headers(&[("authorization", "Basic eDp5")]))), 200);
    }

    #[test]
    fn without_tokens_everybody_reads_and_changes_only_what_is_open_on_this_machine() {
        let may = |access: Access, connection| {
            let caller = access.caller(connection, &HeaderMap::new()).unwrap().unwrap();
            assert!(caller.may(Role::Read, "read").is_ok());
            caller.may(Role::Operate, "reload").is_ok()
        };
        assert!(!may(Access::default(), HERE));
        assert!(may(Access::new(&[], true, false), HERE));
        assert!(!may(Access::new(&[], true, false), from("10.0.0.7", false)));
    }

    #[test]
    fn a_flood_of_wrong_tokens_is_told_to_wait_and_logged_rarely_and_locks_nobody_out() {
        let mut failures = Failures::default();
        let begin = Instant::now();
        let all: Vec<_> = (0..1_000).map(|_| failures.note(begin)).collect();
        assert_eq!(all.iter().filter(|(told, _)| *told).count(), 50);
        assert_eq!(all.iter().filter_map(|(_, unsaid)| *unsaid).collect::<Vec<_>>(), [1]);
        assert_eq!(failures.note(begin + WHILE), (true, None));
        assert_eq!(failures.note(begin + LOG), (true, Some(1_001)));

        let access = Access::new(&[known(1, Role::Read)], false, false);
        let flood: Vec<u16> = (0..60).map(|_| status(access.caller(HERE, &with(&token(2))))).collect();
        assert!(flood.contains(&401) && flood.contains(&429), "{flood:?}");
        assert_eq!(status(access.caller(HERE, &with(&token(1)))), 200);
    }
}
