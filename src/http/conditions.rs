//! The conditions of a request that changes one schedule: what has to be there (RFC 9110, §13). The tag of a schedule is its
//! creation and its revision.

use super::problem::Problem;
use crate::{
    engine::Expect,
    ops::{self, OpsError, RunningClock, Tag},
};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};

/// What has to be there, as the headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// That, or nothing in particular.
    Expect(Expect),
    /// Any revision.
    Present,
}

/// The tag of a revision, as a header has it.
pub(super) fn tag(creation: Option<u64>, revision: u32) -> String {
    format!("\"{}\"", Tag { creation: creation.unwrap_or_default(), revision })
}

impl Condition {
    /// Of `If-Match: "17.3"` or `*`, or `If-None-Match: *`.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let matching = one(headers, &header::IF_MATCH)?;
        let none = one(headers, &header::IF_NONE_MATCH)?;
        match (matching, none) {
            (None, None) => Ok(Self::Expect(Expect::Any)),
            (Some("*"), None) => Ok(Self::Present),
            (Some(tag), None) => {
                let tag = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                let tag = tag.and_then(|tag| tag.parse::<Tag>().ok()).ok_or_else(|| {
                    Problem::bad(
                        "If-Match: give one revision as the ETag of a schedule has it, as in \"17.3\", or *",
                    )
                })?;
                Ok(Self::Expect(tag.into()))
            }
            (None, Some("*")) => Ok(Self::Expect(Expect::Absent)),
            (None, Some(_)) => Err(Problem::bad(
                "If-None-Match: only * can be given here: that there is no schedule of this name",
            )),
            (Some(_), Some(_)) => {
                Err(Problem::bad("If-Match and If-None-Match exclude each other: give one"))
            }
        }
    }

    /// The same of a deletion, which nothing but what is there can be asked of.
    pub(super) fn of_deletion(headers: &HeaderMap) -> Result<Self, Problem> {
        match Self::of(headers)? {
            Self::Expect(Expect::Absent) => {
                Err(Problem::bad("If-None-Match: what is not there can't be deleted; leave it out"))
            }
            condition => Ok(condition),
        }
    }

    /// What the clock is asked for, of a schedule.
    pub(super) async fn expect(self, clock: &RunningClock, name: &str) -> Result<Expect, Problem> {
        let there = async {
            let there = ops::schedules::get(clock.clone(), name).await?;
            Ok(Expect::Revision { creation: there.creation.unwrap_or_default(), number: there.revision })
        };
        self.expect_as(there).await
    }

    /// What the clock is asked for: that some revision is there, as the one that is there now.
    pub(super) async fn expect_as(
        self,
        there: impl Future<Output = Result<Expect, OpsError>>,
    ) -> Result<Expect, Problem> {
        if let Self::Expect(expect) = self {
            return Ok(expect);
        }
        there.await.map_err(|error| match error {
            OpsError::NotFound(missing) => {
                let what = format!("{}, and some revision of it was expected (If-Match: *)", missing.what);
                Problem::new(StatusCode::PRECONDITION_FAILED, what)
            }
            error => error.into(),
        })
    }
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
            Condition::of(&headers).map_err(|problem| problem.detail)
        };
        assert_eq!(of(&[]), Ok(Condition::Expect(Expect::Any)));
        assert_eq!(of(&[("if-match", "*")]), Ok(Condition::Present));
        let seven = Expect::Revision { creation: 9, number: 7 };
        assert_eq!(of(&[("if-match", "\"9.7\"")]), Ok(Condition::Expect(seven)));
        assert_eq!((tag(Some(9), 7), tag(None, 7)), ("\"9.7\"".into(), "\"0.7\"".into()));
        assert_eq!(of(&[("if-none-match", " * ")]), Ok(Condition::Expect(Expect::Absent)));
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
