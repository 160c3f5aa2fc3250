//! Who asks: the user of the broker that a message is of, for whom the broker vouches.
//!
//! RabbitMQ refuses a message whose `user_id` is not the user of the connection that it comes by, unless that user has the tag
//! `impersonator`: <https://www.rabbitmq.com/docs/validated-user-id>. It looks at it when a message is published, and not when a
//! queue passes one on to another exchange; so what comes by way of dead letters says nothing of who sent it here.

use crate::{
    authority::{Caller, Owners},
    config::CommandsUser,
    problem::Problem,
};
use axum::http::StatusCode;
use ponos::event::Message;
use std::collections::HashMap;

/// What the broker adds to a message that a queue has passed on.
const PASSED_ON: [&str; 2] = ["x-death", "x-first-death-queue"];

/// The users who may send commands.
#[derive(Debug, Default)]
pub(super) struct Users(HashMap<String, Caller>);

impl Users {
    pub(super) fn new(users: &[CommandsUser], owners: &Owners) -> Self {
        let caller = |user: &CommandsUser| {
            let CommandsUser { user, owner, role, domains, tasks, quota } = user;
            let caller = Caller::of_broker(user, owner, *role, domains.clone()).sending(tasks.clone());
            (user.clone(), owners.limit(caller, *quota))
        };
        Self(users.iter().map(caller).collect())
    }

    /// Who sent this.
    ///
    /// # Errors
    /// Nobody vouches for him, or he is not known.
    pub(super) fn caller(&self, message: &Message) -> Result<&Caller, Problem> {
        if PASSED_ON.iter().any(|header| message.headers.get(header).is_some()) {
            let what = "it comes by way of a queue's dead letters, so the broker does not vouch for who sent it here; publish it anew";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, what));
        }
        let Some(user) = message.properties.user_id.as_deref().filter(|user| !user.is_empty()) else {
            let what = "nobody says who sends this command: set the property user_id to the user that you are connected as, for whom the broker vouches";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, what));
        };
        self.0.get(user).ok_or_else(|| {
            let what = format!(
                "the broker's user '{user}' may send no commands to this clock: its configuration has no [[commands.users]] of that name"
            );
            Problem::new(StatusCode::FORBIDDEN, what)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Domains, Quota, Role};
    use ponos::event::{HeaderValue, Properties};

    fn message(user: Option<&str>) -> Message {
        let properties = Properties { user_id: user.map(str::to_owned), ..Properties::default() };
        Message { properties, ..Message::default() }
    }

    #[test]
    fn only_a_user_for_whom_the_broker_vouches_and_who_is_known_is_a_caller() {
        let domains = Domains::new(vec!["billing.*".into()]).unwrap();
        let user = CommandsUser {
            user: "billing-service".into(),
            owner: "billing".into(),
            role: Role::Write,
            domains,
            tasks: None,
            quota: Quota::USUAL,
        };
        let users = Users::new(&[user], &Owners::default());
        let caller = users.caller(&message(Some("billing-service"))).unwrap();
        assert_eq!(&**caller.owner(), "billing");
        assert_eq!(caller.to_string(), "the broker's user 'billing-service' of 'billing'");
        assert!(caller.may_change("billing.invoice.due").is_ok() && caller.may_change("a.b.c").is_err());
        let status = |message: &Message| users.caller(message).unwrap_err().status();
        assert_eq!(status(&message(None)), 401);
        assert_eq!(status(&message(Some(""))), 401);
        assert_eq!(status(&message(Some("billing"))), 403);
        for header in PASSED_ON {
            let mut passed_on = message(Some("billing-service"));
            passed_on.headers.set(header, HeaderValue::Int(1));
            assert_eq!(status(&passed_on), 401, "{header}");
        }
    }
}
