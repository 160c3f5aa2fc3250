//! What a test asks of its node while it runs: vhosts, users, alarms, a look at the queues.

use crate::{Node, block_until};
use std::time::Duration;

impl Node {
    /// Creates a vhost that `guest` may use; returns its URL. What was there under this name before is gone.
    pub fn vhost(&self, name: &str) -> String {
        self.eval(&format!("catch rabbit_vhost:delete(<<\"{name}\">>, <<\"test\">>)"));
        self.expect_ok(&format!("rabbit_vhost:add(<<\"{name}\">>, <<\"test\">>)"));
        self.permit("guest", name, ".*", ".*", ".*");
        self.url_for("guest", "guest", name)
    }

    /// Deletes a vhost with all that is in it; its connections are closed.
    pub fn delete_vhost(&self, name: &str) {
        self.eval(&format!("rabbit_vhost:delete(<<\"{name}\">>, <<\"test\">>)"));
    }

    /// Creates a user without any permission.
    pub fn add_user(&self, user: &str, password: &str) {
        self.expect_ok(&format!(
            "rabbit_auth_backend_internal:add_user(<<\"{user}\">>, <<\"{password}\">>, <<\"test\">>)"
        ));
    }

    /// Gives a user another password; connections that are open stay so.
    pub fn change_password(&self, user: &str, password: &str) {
        self.expect_ok(&format!(
            "rabbit_auth_backend_internal:change_password(<<\"{user}\">>, <<\"{password}\">>, <<\"test\">>)"
        ));
    }

    /// Sets what a user may configure, write and read in a vhost (regular expressions).
    pub fn permit(&self, user: &str, vhost: &str, configure: &str, write: &str, read: &str) {
        self.expect_ok(&format!(
            "rabbit_auth_backend_internal:set_permissions(<<\"{user}\">>, <<\"{vhost}\">>, \
             <<\"{configure}\">>, <<\"{write}\">>, <<\"{read}\">>, <<\"test\">>)"
        ));
    }

    /// Sets which routing keys a user may write to and read from a topic exchange (regular expressions).
    pub fn permit_topic(&self, user: &str, vhost: &str, exchange: &str, write: &str, read: &str) {
        self.expect_ok(&format!(
            "rabbit_auth_backend_internal:set_topic_permissions(<<\"{user}\">>, <<\"{vhost}\">>, \
             <<\"{exchange}\">>, <<\"{}\">>, <<\"{}\">>, <<\"test\">>)",
            write.replace('\\', "\\\\"),
            read.replace('\\', "\\\\")
        ));
    }

    /// Raises the memory alarm: connections that publish are blocked.
    pub fn raise_memory_alarm(&self) {
        // Set directly: the monitor that would set it does not run in a chroot without /proc.
        self.eval("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})");
        block_until("the memory alarm", Duration::from_secs(20), || {
            (self.eval("rabbit_alarm:get_alarms()") != "[]").then_some(())
        });
    }

    /// Clears the memory alarm.
    pub fn clear_memory_alarm(&self) {
        self.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()})");
        block_until("the end of the memory alarm", Duration::from_secs(20), || {
            (self.eval("rabbit_alarm:get_alarms()") == "[]").then_some(())
        });
    }

    /// Closes all client connections, as an operator would (320, connection forced); one that goes meanwhile is gone.
    pub fn close_connections(&self) {
        self.eval(
            "[catch rabbit_networking:close_connection(P, \"closed by the test\") \
             || P <- rabbit_networking:connections()]",
        );
    }

    /// Major and minor version of its RabbitMQ.
    pub fn version(&self) -> (u32, u32) {
        let version = self.eval("rabbit_misc:version()");
        let mut numbers =
            version.trim_matches('"').split('.').map(|number| number.parse().expect("a number"));
        (numbers.next().expect("a major version"), numbers.next().expect("a minor version"))
    }

    /// Closes the client connections of one vhost; one that goes meanwhile is gone.
    pub fn close_connections_of(&self, vhost: &str) {
        self.eval(&format!(
            "[catch rabbit_networking:close_connection(P, \"closed by the test\") \
             || P <- rabbit_networking:connections(), \
             (catch rabbit_reader:info(P, [vhost])) =:= [{{vhost, <<\"{vhost}\">>}}]]"
        ));
    }

    /// How many clients of one vhost are connected.
    pub fn connections_of(&self, vhost: &str) -> usize {
        let found = self.eval(&format!(
            "length([P || P <- rabbit_networking:connections(), \
             (catch rabbit_reader:info(P, [vhost])) =:= [{{vhost, <<\"{vhost}\">>}}]])"
        ));
        found.parse().expect("a number")
    }

    /// How many clients are connected.
    pub fn connections(&self) -> usize {
        self.eval("length(rabbit_networking:connections())").parse().expect("a number")
    }

    /// Deletes an exchange, with the bindings from it and to it.
    pub fn delete_exchange(&self, vhost: &str, exchange: &str) {
        self.expect_ok(&format!(
            "rabbit_exchange:delete(rabbit_misc:r(<<\"{vhost}\">>, exchange, <<\"{exchange}\">>), false, <<\"test\">>)"
        ));
    }

    /// Deletes a queue, consumers or not.
    pub fn delete_queue(&self, vhost: &str, queue: &str) {
        self.eval(&format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup({}), rabbit_amqqueue:delete(Q, false, false, <<\"test\">>)",
            resource(vhost, queue)
        ));
    }

    /// Ready messages and consumers of a queue; `None` when there is no such queue.
    pub fn queue(&self, vhost: &str, queue: &str) -> Option<(u64, u64)> {
        let answer = self.eval(&format!(
            "case rabbit_amqqueue:lookup({}) of \
             {{ok, Q}} -> {{ok, M, C}} = rabbit_amqqueue:stat(Q), [M, C]; _ -> none end",
            resource(vhost, queue)
        ));
        let (messages, consumers) = answer.strip_prefix('[')?.strip_suffix(']')?.split_once(',')?;
        Some((messages.parse().ok()?, consumers.parse().ok()?))
    }

    /// Which node leads a quorum queue, as Erlang knows it.
    pub(crate) fn leader_of(&self, vhost: &str, queue: &str) -> String {
        let leader = self.eval(&format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup({}), {{_, Leader}} = amqqueue:get_pid(Q), Leader",
            resource(vhost, queue)
        ));
        leader.trim_matches('\'').to_owned()
    }

    pub(crate) fn expect_ok(&self, expression: &str) {
        let answer = self.eval(expression);
        assert_eq!(answer, "ok", "{expression}");
    }
}

fn resource(vhost: &str, queue: &str) -> String {
    format!("rabbit_misc:r(<<\"{vhost}\">>, queue, <<\"{queue}\">>)")
}
