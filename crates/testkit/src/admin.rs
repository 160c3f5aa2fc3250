//! Commands to a node in milliseconds: one hidden Erlang node that evaluates expressions on it (`rabbitmqctl` takes more
//! than a second for each).

use crate::processes::{Processes, kill_group};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

/// Answers each line of input by one line: what the expression yields on the node.
const LOOP: &str = r#"
    Loop = fun Loop() ->
        case io:get_line("") of
            eof -> halt(0);
            Line ->
                {ok, Tokens, _} = erl_scan:string(Line),
                {ok, Expressions} = erl_parse:parse_exprs(Tokens),
                case rpc:call(NODE, erl_eval, exprs, [Expressions, []], 30000) of
                    {value, Value, _} -> io:format("~0p~n", [Value]);
                    Other -> io:format("failed: ~0p~n", [Other])
                end,
                Loop()
        end
    end,
    Loop()."#;

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(40);

#[derive(Debug)]
pub(crate) struct Admin {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Admin {
    /// `erl` is the command that starts Erlang in the node's environment; `node` the node's name.
    pub(crate) fn start(mut erl: Command, node: &str, processes: &Processes) -> Self {
        let own = node.replacen("rabbit", "admin", 1);
        erl.args(["-noshell", "-hidden", "-sname", &own, "-eval"])
            .arg(LOOP.replace("NODE", &format!("'{node}'")));
        let mut child =
            processes.spawn(erl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()));
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, input, answers }
    }

    /// Evaluates one Erlang expression on the node; returns its value as Erlang prints it.
    pub(crate) fn eval(&mut self, expression: &str) -> String {
        let line = expression.split_whitespace().collect::<Vec<_>>().join(" ");
        writeln!(self.input, "{line}.").expect("the admin node takes commands");
        let answer = self.answers.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("no answer to: {line}"));
        assert!(!answer.starts_with("failed: "), "{line}\n  {answer}");
        answer
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        kill_group(&mut self.child);
    }
}
