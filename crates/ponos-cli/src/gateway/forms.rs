//! The forms of answers.

use super::publisher::Outcome;
use crate::http::problem::{Problem, json};
use http_body_util::Full;
use hyper::{Response, StatusCode, body::Bytes};
use serde::Serialize;
use utoipa::ToSchema;

/// An event that was accepted: the broker has confirmed it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// The id of the event, and of the message.
    pub(super) id: String,
    /// Whether a queue was bound to it. `false` only with `gateway.unroutable = "accept"`.
    pub(super) received: bool,
    /// It had been accepted before, and was not published again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) repeated: bool,
}

/// What became of a batch, event by event.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchAnswer {
    /// Of each event, in their order.
    results: Vec<EntryAnswer>,
}

/// What events are answered with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "for the description")]
pub(super) enum EventsAnswer {
    /// To one event.
    One(Accepted),
    /// To a batch.
    Batch(BatchAnswer),
}

/// A batch of which not everything was accepted: a problem document, with what became of each event.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchProblem {
    #[serde(flatten)]
    problem: Problem,
    /// Of each event of a batch, in their order.
    #[schema(required = false)]
    results: Vec<EntryAnswer>,
}

/// What became of one event of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EntryAnswer {
    /// Which one, counted from 0.
    index: usize,
    /// Its id.
    id: String,
    /// What it would have been answered with alone: 202, 422 or 503.
    status: u16,
    /// Whether a queue was bound to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<bool>,
    /// What kind of problem it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// What happened, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl EntryAnswer {
    fn new((index, (id, outcome)): (usize, (String, &Outcome))) -> Self {
        match outcome {
            Outcome::Accepted { received } => {
                let status = StatusCode::ACCEPTED.as_u16();
                Self { index, id, status, received: Some(*received), code: None, detail: None }
            }
            Outcome::Not(problem) => {
                let (status, code, detail) =
                    (problem.status(), Some(problem.code()), Some(problem.detail().into()));
                Self { index, id, status, received: None, code, detail }
            }
        }
    }
}

/// The answer to one event.
///
/// # Errors
/// It was not accepted.
pub(super) fn one(id: String, outcome: Outcome) -> Result<Response<Full<Bytes>>, Problem> {
    match outcome {
        Outcome::Accepted { received } => {
            Ok(json(StatusCode::ACCEPTED, &Accepted { id, received, repeated: false }))
        }
        Outcome::Not(problem) => Err(problem),
    }
}

/// The answer to a batch: 202 if all of it was accepted, else the gravest status of its events. A sender that looks at nothing but
/// the status sends all of it again, under the same ids.
pub(super) fn batch(ids: Vec<String>, outcomes: &[Outcome]) -> Response<Full<Bytes>> {
    let results = ids.into_iter().zip(outcomes).enumerate().map(EntryAnswer::new).collect();
    let problems = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Not(problem) => Some(problem),
        Outcome::Accepted { .. } => None,
    });
    let (count, gravest) = (problems.clone().count(), problems.max_by_key(|problem| problem.status()));
    match gravest {
        None => json(StatusCode::ACCEPTED, &BatchAnswer { results }),
        Some(gravest) => {
            let what = format!("{count} of {} events were not accepted; results says which", outcomes.len());
            let problem = gravest.clone().instead(what);
            problem.respond(&BatchProblem { problem: problem.clone(), results })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_batch_is_answered_as_its_gravest_event_and_says_what_became_of_each() {
        let accepted = || Outcome::Accepted { received: true };
        let not = |status: StatusCode, code| Outcome::Not(Problem::new(status, code, "why"));
        let unroutable = || not(StatusCode::UNPROCESSABLE_ENTITY, "unroutable");
        let lost = || match not(StatusCode::SERVICE_UNAVAILABLE, "unconfirmed") {
            Outcome::Not(problem) => Outcome::Not(problem.again_in(1)),
            other => other,
        };
        let ask = async |outcomes: Vec<Outcome>| {
            let ids = (0..outcomes.len()).map(|number| number.to_string()).collect();
            let answer = batch(ids, &outcomes);
            let (head, body) = answer.into_parts();
            let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
            (head.status.as_u16(), head.headers.contains_key("retry-after"), body)
        };
        let (status, _, body) = ask(vec![accepted(), accepted()]).await;
        assert_eq!(
            (status, &body["results"][1]),
            (202, &json!({"index": 1, "id": "1", "status": 202, "received": true}))
        );
        let (status, again, body) = ask(vec![accepted(), unroutable()]).await;
        assert_eq!((status, again, &body["code"]), (422, false, &json!("unroutable")));
        assert_eq!(body["results"][0]["status"], 202);
        assert_eq!(body["results"][1]["code"], "unroutable");
        let (status, again, body) = ask(vec![unroutable(), lost(), accepted()]).await;
        assert_eq!((status, again, &body["code"]), (503, true, &json!("unconfirmed")));
        assert!(body["detail"].as_str().unwrap().starts_with("2 of 3 events"), "{body}");
        assert_eq!(ask(vec![]).await.0, 202);
    }
}
