//! What follows from a command: its answer, to whoever asked for one; and a dead letter of what can't be a command.

use super::answer::Answer;
use crate::problem::Problem;
use ponos::{
    broker::{self, Publishing},
    event::{Message, Properties, Timestamp},
    topology::worker::dead_letters,
};
use std::sync::Arc;

/// In front of the names that the broker makes for direct reply-to; nothing else can be called so.
const DIRECT: &str = "amq.rabbitmq.reply-to.";
/// The exchange by which these names, and queues, are reached.
const DEFAULT: &str = "";
/// The longest reason of a dead letter, in bytes, about: it stands in a header.
const REASON: usize = 4_000;

/// Where an answer goes. Never to a queue of the asker's choice: the clock's user may write to queues that he may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReplyTo {
    /// Nobody asks for it.
    Nobody,
    /// To who asked, on the channel that he asked by: <https://www.rabbitmq.com/docs/direct-reply-to>.
    Direct(String),
    /// To the exchange of answers, with this routing key.
    Exchange(String),
}

impl ReplyTo {
    pub(super) fn of(message: &Message) -> Self {
        match message.properties.reply_to.as_deref() {
            None | Some("") => Self::Nobody,
            Some(name) if name.starts_with(DIRECT) => Self::Direct(name.to_owned()),
            Some(key) => Self::Exchange(key.to_owned()),
        }
    }
}

/// The message of an answer; none where nobody asks for it. `id` is its own.
pub(super) fn reply(asked: &Message, answer: &Answer, replies: &Arc<str>, id: String) -> Option<Publishing> {
    let (exchange, routing_key) = match ReplyTo::of(asked) {
        ReplyTo::Nobody => return None,
        ReplyTo::Direct(name) => (DEFAULT.into(), name),
        ReplyTo::Exchange(key) => (replies.clone(), key),
    };
    let Properties { correlation_id, message_id, kind, .. } = &asked.properties;
    let properties = Properties {
        content_type: Some("application/json".into()),
        // Who sets none knows the answer by the id of what he asked.
        correlation_id: correlation_id.clone().or_else(|| message_id.clone()),
        message_id: Some(id),
        kind: kind.clone(),
        app_id: Some("khronos".into()),
        ..Properties::default()
    };
    let mut message = Message { routing_key, properties, body: answer.to_json(), ..Message::default() };
    if let Some(trace) = asked.headers.text("traceparent") {
        message.headers.set("traceparent", trace);
    }
    Some(Publishing { token: 0, lane: 0, exchange, message })
}

/// The dead letter of a message, as those of workers are: `ponos dead` shows it.
pub(super) fn dead_letter(message: Message, queue: &str, problem: &Problem, now: Timestamp) -> Publishing {
    let sender = message.properties.user_id.clone();
    let kind = problem.word();
    let mut letter = broker::resent(message, &dead_letters(queue), None);
    letter.headers.retain(|name| !name.starts_with("dead-"));
    letter.headers.set("dead-kind", kind);
    letter.headers.set("dead-reason", ponos::event::text::shortened(&problem.detail, REASON).to_string());
    letter.headers.set("dead-queue", queue);
    letter.headers.set("dead-at", now.to_string());
    if let Some(sender) = sender {
        // The property would be that of who publishes the letter.
        letter.headers.set("dead-user", sender);
    }
    Publishing { token: 0, lane: 0, exchange: DEFAULT.into(), message: letter }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use ponos::event::HeaderValue;

    fn asked(reply_to: Option<&str>) -> Message {
        let properties = Properties {
            reply_to: reply_to.map(str::to_owned),
            message_id: Some("m-1".into()),
            user_id: Some("billing-service".into()),
            expiration: Some(1),
            ..Properties::default()
        };
        Message { routing_key: "schedule.get".into(), properties, body: b"{".to_vec(), ..Message::default() }
    }

    fn answer() -> Answer {
        Answer::from(&Problem::bad("no"))
    }

    #[test]
    fn an_answer_goes_to_the_asker_or_to_the_exchange_and_never_to_a_queue_by_its_name() {
        let replies: Arc<str> = "khronos.replies".into();
        let sent = |reply_to| reply(&asked(reply_to), &answer(), &replies, "r-1".into());
        assert!(sent(None).is_none() && sent(Some("")).is_none());
        let direct = sent(Some("amq.rabbitmq.reply-to.g1h2AAa.b+c/d==")).unwrap();
        assert_eq!(
            (&*direct.exchange, &*direct.message.routing_key),
            ("", "amq.rabbitmq.reply-to.g1h2AAa.b+c/d==")
        );
        for name in [
            "billing.answers",
            "khronos.commands",
            "amq.rabbitmq.reply-to",
            "amq.gen-x",
            " amq.rabbitmq.reply-to.x",
        ] {
            let by_exchange = sent(Some(name)).unwrap();
            assert_eq!(
                (&*by_exchange.exchange, &*by_exchange.message.routing_key),
                ("khronos.replies", name)
            );
        }
    }

    #[test]
    fn an_answer_has_the_correlation_of_its_question_or_the_id_of_it() {
        let replies: Arc<str> = "khronos.replies".into();
        let mut question = asked(Some("k"));
        let correlation = |question: &Message| {
            let sent = reply(question, &answer(), &replies, "r-1".into()).unwrap();
            assert_eq!(sent.message.properties.message_id.as_deref(), Some("r-1"));
            assert_eq!(sent.message.properties.user_id, None, "its own user is set when it is sent");
            sent.message.properties.correlation_id
        };
        assert_eq!(correlation(&question).as_deref(), Some("m-1"));
        question.properties.correlation_id = Some("c-1".into());
        assert_eq!(correlation(&question).as_deref(), Some("c-1"));
    }

    #[test]
    fn a_dead_letter_says_why_and_of_whom_it_is_and_nothing_about_it_is_believed() {
        let mut message = asked(Some("k"));
        message.headers.set("dead-kind", HeaderValue::Text("made up".into()));
        message.headers.set("CC", HeaderValue::Text("elsewhere".into()));
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "x".repeat(10_000));
        let letter = dead_letter(message, "khronos.commands", &problem, Timestamp::EPOCH);
        assert_eq!((&*letter.exchange, &*letter.message.routing_key), ("", "khronos.commands.dlq"));
        let Message { properties, headers, body, .. } = letter.message;
        assert_eq!(body, b"{");
        assert_eq!((properties.user_id, properties.expiration, properties.persistent), (None, None, true));
        let names: Vec<&str> = headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["dead-kind", "dead-reason", "dead-queue", "dead-at", "dead-user"]);
        assert_eq!(headers.text("dead-kind"), Some("unauthenticated"));
        assert_eq!(headers.text("dead-user"), Some("billing-service"));
        assert!(headers.text("dead-reason").unwrap().len() < 5_000);
    }
}
