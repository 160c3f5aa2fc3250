//! What the help of a program lists, for tests that try all there is.

/// The words below a heading, each the first of its line.
pub fn help_words<'a>(help: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = help.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next()).collect()
}

/// The flags that take a value.
pub fn help_flags(help: &str) -> Vec<&str> {
    help.lines()
        .filter(|line| line.trim_start().starts_with('-'))
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip_while(|word| !word.starts_with("--"));
            let flag = words.next()?.trim_end_matches("...");
            words.next().filter(|value| value.starts_with('<') || value.starts_with("[<")).map(|_| flag)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_and_flags_with_a_value_are_found() {
        let help = "Usage: a\n\nCommands:\n  run   Runs\n  check Checks\n\nOptions:\n  -c, --config <FILE>  x\n      --json  y\n      --broker [<URL>]  --no <FLAG>\n      --on... <PATTERN>\n";
        assert_eq!(help_words(help, "Commands:"), ["run", "check"]);
        assert_eq!(help_words(help, "Arguments:"), [""; 0]);
        assert_eq!(help_flags(help), ["--config", "--broker", "--on"]);
    }
}
