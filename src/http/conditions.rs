//! The conditions of a request that changes one schedule: what has to be there (RFC 9110, §13). The tag of a schedule is its
//! creation and its revision. And the trace that it belongs to.

use super::problem::Problem;
use crate::{engine::Expect, ops::Tag};
use axum::http::{HeaderMap, HeaderName, header};
use ponos::event::SpanContext;

/// The tag of a revision, as a header has it.
pub(super) fn tag(creation: Option<u64>, revision: u32) -> String {
    format!("\"{}\"", Tag { creation: creation.unwrap_or_default(), revision })
}

/// What has to be there, by `If-Match: "17.3"` or `*`, or `If-None-Match: *`.
pub(super) fn expected(headers: &HeaderMap) -> Result<Expect, Problem> {
    let matching = one(headers, &header::IF_MATCH)?;
    let none = one(headers, &header::IF_NONE_MATCH)?;
    match (matching, none) {
        (None, None) => Ok(Expect::Any),
        (Some("*"), None) => Ok(Expect::Present),
        (Some(tag), None) => {
            let tag = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let tag = tag.and_then(|tag| tag.parse::<Tag>().ok()).ok_or_else(|| {
                Problem::bad(
                    "If-Match: give one revision as the ETag of a schedule has it, as in \"17.3\", or *",
                )
            })?;
            Ok(tag.into())
        }
        (None, Some("*")) => Ok(Expect::Absent),
        (None, Some(_)) => Err(Problem::bad(
            "If-None-Match: only * can be given here: that there is no schedule of this name",
        )),
        (Some(_), Some(_)) => Err(Problem::bad("If-Match and If-None-Match exclude each other: give one")),
    }
}

/// The same of what is deleted, or sent: nothing but what is there can be asked for.
pub(super) fn expected_of_what_is_there(headers: &HeaderMap) -> Result<Expect, Problem> {
    match expected(headers)? {
        Expect::Absent => Err(Problem::bad("If-None-Match: this is asked of what is there; leave it out")),
        expect => Ok(expect),
    }
}

/// The trace that the request belongs to, where its sender says one.
pub(super) fn trace(headers: &HeaderMap) -> Option<SpanContext> {
    one(headers, &HeaderName::from_static("traceparent")).ok().flatten().and_then(SpanContext::parse)
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut given = headers.get_all(name).iter();
    let (first, more) = (given.next(), given.next());
    if more.is_some() {
        return Err(Problem::bad(format!("a request has one {name} header at most")));
    }
    let unreadable = |_| Problem::bad(format!("the header {name} is no text"));
    first.map(|value| value.to_str().map(str::trim).map_err(unreadable)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_one_revision_or_any_or_none() {
        let of = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            expected(&headers).map_err(|problem| problem.detail)
        };
        assert_eq!(of(&[]), Ok(Expect::Any));
        assert_eq!(of(&[("if-match", "*")]), Ok(Expect::Present));
        let seven = Expect::Revision { creation: 9, number: 7 };
        assert_eq!(of(&[("if-match", "\"9.7\"")]), Ok(seven));
        assert_eq!((tag(Some(9), 7), tag(None, 7)), ("\"9.7\"".into(), "\"0.7\"".into()));
        assert_eq!(of(&[("if-none-match", " * ")]), Ok(Expect::Absent));
        for wrong in ["9.7", "\"\"", "\"7\"", "\"+9.7\"", "W/\"9.7\"", "\"9.7\", \"9.8\"", "\"9.7", ""] {
            assert!(of(&[("if-match", wrong)]).is_err(), "{wrong}");
        }
        for wrong in ["\"7\"", "", "**"] {
            assert!(of(&[("if-none-match", wrong)]).is_err(), "{wrong}");
        }
        assert!(of(&[("if-match", "*"), ("if-none-match", "*")]).unwrap_err().contains("exclude"));
        assert!(of(&[("if-match", "*"), ("if-match", "*")]).unwrap_err().contains("one if-match"));
    }
}
