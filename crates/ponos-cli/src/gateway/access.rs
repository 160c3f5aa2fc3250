//! Who publishes, and what: the holder of a token, or, on a gateway without tokens, whoever is on this machine.

use super::settings::{Holder, Settings};
use crate::http::{is_loopback, problem::Problem};
use hyper::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HOST, HeaderName, ORIGIN},
};
use ponos::event::EventName;
use ponos_http::{Domains, KnownTokens, Rate, TooOften, bearer, is_forwarded};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Who may publish.
pub(super) struct Access {
    tokens: KnownTokens<Arc<Publisher>>,
    /// Whoever comes without a token; none where it is reached from elsewhere, has tokens, or takes webhooks: these come through
    /// a proxy, which may say nothing of itself.
    anybody: Option<Arc<Publisher>>,
}

/// Who publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    /// The publisher's name in `source` of its plain JSON; none without tokens.
    pub(super) owner: Option<String>,
    domains: Domains,
    pub(super) plain: Option<EventName>,
    rate: Option<Arc<Rate>>,
    /// The same in events a second.
    pub(super) a_second: Option<u32>,
}

/// A rate of so many events a second, and as many at once.
pub(super) fn rate(a_second: Option<u32>) -> Option<Arc<Rate>> {
    a_second.map(|events| Arc::new(Rate::new(events, events)))
}

/// Takes so many events from a rate; with none, only looks whether more than it gives were taken already.
///
/// # Errors
/// 429: it comes too often.
pub(super) fn take(rate: Option<&Rate>, count: usize) -> Result<(), Problem> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let Err(TooOften(wait)) = rate.map_or(Ok(()), |rate| rate.take(count, Instant::now())) else {
        return Ok(());
    };
    let what = "you publish more events in a second than you may; go on after Retry-After";
    let whole = wait.saturating_add(Duration::from_millis(999)).as_secs().max(1);
    Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-often", what).again_in(whole))
}

impl Access {
    /// As it is configured.
    pub(super) fn new(settings: &Settings) -> Self {
        let mut rates: HashMap<&str, u32> = HashMap::new();
        for holder in &settings.holders {
            if let Some(a_second) = holder.rate.or(settings.limits.rate) {
                rates
                    .entry(&holder.owner)
                    .and_modify(|least| *least = a_second.min(*least))
                    .or_insert(a_second);
            }
        }
        // what several tokens of one owner share
        let shared: HashMap<&str, _> =
            rates.iter().map(|(owner, events)| (*owner, rate(Some(*events)))).collect();
        let publisher = |holder: &Holder| Publisher {
            owner: Some(holder.owner.clone()),
            domains: holder.domains.clone(),
            plain: holder.plain.clone(),
            rate: shared.get(holder.owner.as_str()).cloned().flatten(),
            a_second: rates.get(holder.owner.as_str()).copied(),
        };
        let known = |holder: &Holder| (holder.id.clone(), holder.digest, Arc::new(publisher(holder)));
        let is_open =
            !settings.are_tokens_wanted && settings.webhooks.is_empty() && settings.listen.ip().is_loopback();
        let a_second = settings.limits.rate;
        let (domains, rate) = (Domains::everything(), rate(a_second));
        let anybody = Publisher { owner: None, domains, plain: None, rate, a_second };
        Self {
            tokens: settings.holders.iter().map(known).collect(),
            anybody: is_open.then(|| Arc::new(anybody)),
        }
    }

    /// Who asks.
    ///
    /// # Errors
    /// 401 without a token that is known; without tokens 403 for a page of the web and for what a proxy passed on.
    pub(super) fn publisher(&self, headers: &HeaderMap) -> Result<Arc<Publisher>, Problem> {
        if let Some(anybody) = &self.anybody {
            if is_forwarded(headers.keys().map(HeaderName::as_str)) {
                let what = "a proxy passed this on, and without tokens only programs of this machine publish here: add [[gateway.tokens]] (ponos token OWNER)";
                return Err(Problem::new(StatusCode::FORBIDDEN, "foreign", what));
            }
            let mut hosts = headers.get_all(HOST).iter();
            let host = hosts.next().filter(|_| hosts.next().is_none()).and_then(|host| host.to_str().ok());
            if headers.contains_key(ORIGIN) || !host.is_some_and(is_loopback) {
                let what = "web pages may not publish here; ask as http://127.0.0.1 or http://localhost, without an Origin header";
                return Err(Problem::new(StatusCode::FORBIDDEN, "foreign", what));
            }
            return Ok(Arc::clone(anybody));
        }
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let token = shown.next().and_then(|credentials| bearer(credentials.as_bytes()));
        let known = token.filter(|_| shown.next().is_none()).and_then(|token| self.tokens.holder(token).ok());
        known.cloned().ok_or_else(|| {
            let what = match token {
                None => "show your token: Authorization: Bearer kh_...",
                Some(_) => {
                    "this token is not known here: it is misspelt, or was replaced (see [[gateway.tokens]])"
                }
            };
            Problem::new(StatusCode::UNAUTHORIZED, "no-token", what).asks_for_token()
        })
    }
}

/// What stands below `/SERVICE/` beside the owners of tokens, whatever these are called.
const RESERVED: [&str; 2] = ["webhooks", "sqs"];

impl Publisher {
    /// One without a rate, of these domains.
    pub(crate) fn of(owner: String, domains: Domains) -> Self {
        Self { owner: Some(owner), domains, plain: None, rate: None, a_second: None }
    }

    /// Why it may not publish this event.
    pub(crate) fn why_not(&self, event: &EventName) -> Option<String> {
        let outside = || match &self.owner {
            Some(owner) => {
                format!("'{owner}' publishes events of {}; '{event}' is not one of them", self.domains)
            }
            None => format!("'{event}' may not be published here"),
        };
        (!self.domains.cover(event.as_str())).then(outside)
    }

    /// Takes so many events from what it may publish: all of them or none. With none, only looks.
    ///
    /// # Errors
    /// 429.
    pub(super) fn take(&self, count: usize) -> Result<(), Problem> {
        take(self.rate.as_deref(), count)
    }

    /// Why it may not publish under this source: below the service's own, only what is below its own name is its own.
    pub(crate) fn why_not_from(&self, service: &str, source: &str) -> Option<String> {
        let below = source.strip_prefix('/')?.strip_prefix(service)?.strip_prefix('/')?;
        let is_below = |owner: &str| {
            let rest = below.strip_prefix(owner)?;
            Some(rest.is_empty() || rest.starts_with('/') && !RESERVED.contains(&owner))
        };
        let is_own = self.owner.as_deref().and_then(is_below).unwrap_or(false);
        let what = || format!("'{}' is a source of this service's own", ponos::text::shown(source));
        (!is_own).then(what)
    }
}
