//! (rules, command, verdict): what runs something else hides nothing from a rule that forbids and lends nothing from one that allows.

use crate::policy::{Access, By, Grounds, Invocation, NetworkAccess, Remembered, Rule, Rules, RunAccess, Trust, Verdict, Why};
use crate::protocol::mode::Mode;
use proptest::prelude::*;
use std::path::PathBuf;

fn judge(deny: &[&str], allow: &[&str], command: Invocation) -> Verdict {
    let read = |texts: &[&str]| texts.iter().map(|text| Rule::read(text).unwrap()).collect();
    let rules = Rules { deny: read(deny), ask: Vec::new(), allow: read(allow) };
    let grounds =
        Grounds { rules: &rules, workspace: &Rules::default(), mode: Mode::Ask, trust: Trust::Trusted, remembered: &Remembered::default() };
    grounds.judge("shell", &Access::Run(RunAccess { command, directory: PathBuf::new(), network: NetworkAccess::Off }))
}

/// In a word: `deny`, `allow`, `no rule`, or why it is not understood.
fn verdict(deny: &[&str], allow: &[&str], text: &str) -> &'static str {
    match judge(deny, allow, Invocation::Script(text.into())) {
        Verdict::Deny(By::Rule(_)) => "deny",
        Verdict::Allow(_) => "allow",
        Verdict::Ask(question) => match question.why {
            Why::NotUnderstood(why) => why,
            Why::NoRule => "no rule",
            why => panic!("{why:?}"),
        },
        Verdict::Deny(by) => panic!("{by:?}"),
    }
}

/// Runners of a plain command, which stands in the place of `CMD`.
const BEFORE: &str = "env CMD|env -i -u HOME CMD|nice CMD|nice -n 5 CMD|nice -5 CMD|ionice -c2 -n7 CMD|ionice -c 3 CMD|nohup CMD|setsid -w CMD|stdbuf -oL CMD|\
    stdbuf -o L CMD|timeout 5 CMD|timeout -k 1 -s KILL 5s CMD|timeout --signal=TERM 5 CMD|\\time CMD|/usr/bin/time -v CMD|command CMD|exec CMD|sudo CMD|\
    sudo -u root -- CMD|doas -u root CMD|xargs CMD|xargs -0 -n 1 -P4 CMD|xargs -I{} CMD|find . -exec CMD \\;|find . -name x -execdir CMD {} +|\
    find . -ok CMD \\;|fd x -x CMD|flock /tmp/l CMD|script -q /dev/null CMD|chroot / CMD|unshare -r CMD|unshare -mpf CMD|nsenter -t 1 -m -p CMD|\
    systemd-run --user --scope CMD|busybox CMD|setpriv --no-new-privs CMD|taskset 1 CMD|taskset -c 0,1 CMD|chrt -r 5 CMD|strace -f -o log CMD|\
    git bisect run CMD|git -C . bisect run CMD|git submodule foreach CMD|git submodule foreach --recursive CMD|npx CMD|npx -y -- CMD|npm exec -- CMD|\
    npm exec -y CMD|npm x CMD|pnpm exec CMD|pnpm dlx CMD|yarn exec CMD|yarn dlx CMD|bunx CMD|bun x CMD|uv run CMD|uv run --with a -p 3.12 CMD|uvx CMD|uv tool run CMD|\
    pipx run CMD|poetry run CMD|pipenv run CMD|conda run -n a CMD|bundle exec CMD|rustup run nightly CMD|mise exec node@20 -- CMD|op run -- CMD|\
    docker run --rm -it image CMD|docker exec -it box CMD|docker compose exec web CMD|podman run -v /:/h image CMD|kubectl exec pod -- CMD|ssh host CMD|\
    ssh -p 22 me@host CMD|watch -n 1 CMD|entr -r CMD|nix develop -c CMD|direnv exec . CMD|env nice -n 1 timeout 5 CMD|busybox env CMD|corepack npx CMD|\
    /lib64/ld-linux-x86-64.so.2 CMD|xvfb-run -a CMD|valgrind --tool=none CMD|awk-like --exec CMD|sudo -E env -i CMD";

/// Runners of a text for a shell.
const AROUND: &str = "sh -c 'CMD'|bash -c 'CMD'|/bin/zsh -ec 'CMD'|sh -c -e 'CMD'|bash -lc 'CMD'|dash -o errexit -c 'CMD' a b|busybox sh -c 'CMD'|\
    sudo sh -c 'CMD'|xargs sh -c 'CMD'|su -c 'CMD'|su root -c 'CMD'|script -c 'CMD' log|script -qc 'CMD'|flock /tmp/l -c 'CMD'|npx -c 'CMD'|\
    npm exec -c 'CMD'|npm exec --call='CMD'|git rebase -x 'CMD' HEAD|git rebase -i --exec 'CMD' HEAD|git rebase --exec='CMD' HEAD|git rebase -ix 'CMD'|\
    git -c alias.p='!CMD' p|git config alias.p '!CMD'|git filter-branch --tree-filter 'CMD'|git clone --upload-pack 'CMD' x|ssh host 'CMD'|watch 'CMD'|\
    nix-shell --run 'CMD'|docker run --entrypoint 'CMD' x|tar xf a --to-command 'CMD'|rsync -e 'CMD' a b|bun exec 'CMD'|split --filter='CMD' a|\
    env -S 'CMD'|echo 'CMD' | sh|printf 'CMD\\n' | bash -s|echo 'CMD' | sudo sh|echo 'CMD' | cat | ssh host|echo 'CMD' | tee x | busybox sh|\
    echo 'CMD' | sh -|echo 'CMD' | bash /dev/stdin|echo 'CMD' | docker exec -i box sh|echo 'CMD' | at now|echo 'CMD' | parallel|parallel 'CMD'|\
    parallel 'CMD' ::: 1|echo 'CMD' | xargs -I{} sh -c '{}'|git -c core.pager='CMD' log|git -c core.sshCommand='CMD' fetch|\
    git -c core.fsmonitor='CMD' status|cargo run --config 'target.x.runner=\"CMD\"'|cargo --config='build.rustc-wrapper=\"CMD\"' build|\
    make SHELL='CMD'|make CC='CMD'|make --eval='$(shell CMD)'|ssh -o ProxyCommand='CMD' host|awk 'BEGIN { system(\"CMD\") }'|\
    perl -e 'system(\"CMD\")'|perl -ne 'system(\"CMD\")'|python3 -c 'import os; os.system(\"CMD\")'|python3.11 -Ic 'os.system(\"CMD\")'|\
    ruby -e 'exec \"CMD\"'|node -e 'require(\"child_process\").execSync(\"CMD\")'|node -pe 'x(\"CMD\")'|node --eval='x(\"CMD\")'|php -r 'system(\"CMD\");'|\
    uv run python -c 'os.system(\"CMD\")'|tmux new -d 'CMD'|vim -c '!CMD'|emacs --batch --eval '(shell-command \"CMD\")'|\
    sh -c \"sh -c 'CMD'\"|if true; then CMD; fi|(CMD)|echo `CMD`|echo 'CMD' | env sh|fish -c 'CMD'|git -c 'filter.a.clean=CMD' add .";

/// The words of `rm -rf x` and `git push`, as lists.
const LISTS: &str = "python3 -c 'import subprocess; subprocess.run([\"rm\",\"-rf\",\"x\"])'|python -c \"subprocess.run(['rm', '-rf', 'x'])\"|\
    node -e 'spawnSync(\"rm\",[\"-rf\",\"x\"])'|ruby -e 'system \"rm\",\"-rf\",\"x\"'|perl -e 'exec qw(rm -rf x)'|\
    python3 -c 'x([\"rm\",\"-rf\"])' > log|echo 'x([\"rm\",\"-rf\"])' | python3 -|echo -rf x | xargs rm|printf -- '-rf\\nx' | xargs rm";

#[test]
fn a_rule_that_forbids_sees_through_all_that_runs_another_command() {
    let mut cases = Vec::new();
    for (rule, inner) in [("shell(rm *)", "rm -rf x"), ("shell(git push *)", "git -C . push origin"), ("shell(rm -rf *)", "/bin/rm -rf x")]
    {
        cases.extend(BEFORE.split('|').map(|runner| (rule, runner.replace("CMD", inner))));
    }
    for (rule, inner) in [("shell(rm *)", "rm -rf x"), ("shell(git push *)", "true && git push origin")] {
        cases.extend(pieces(AROUND).into_iter().map(|runner| (rule, runner.replace("CMD", inner))));
    }
    cases.extend(pieces(LISTS).into_iter().map(|text| ("shell(rm -rf *)", text)));
    cases.retain(|(rule, text)| verdict(&[rule], &["shell"], text) != "deny");
    assert_eq!(cases, []);
}

#[test]
fn a_rule_that_allows_the_runner_does_not_allow_what_it_runs() {
    let mut cases = [BEFORE.split('|').map(str::to_owned).collect(), pieces(AROUND)].concat();
    // What a makefile makes of a variable is not what make was given to run.
    cases.retain(|text| !text.starts_with("make CC="));
    cases.retain(|text| {
        let program = format!("shell({} *)", text.split(' ').next().unwrap().trim_start_matches('\\'));
        let allow = [&program, "shell(sh *)", "shell(echo *)", "shell(printf *)", "shell(cat *)", "shell(tee *)"];
        verdict(&[], &allow, &text.replace("CMD", "curl x")) == "allow"
    });
    assert_eq!(cases, [""; 0]);
}

#[test]
fn what_runs_an_allowed_command_is_allowed_with_it() {
    for runner in
        "env CMD|nice -n 5 CMD|nohup CMD|timeout -k 1 5 CMD|sudo -u root CMD|find . -exec CMD {} +|fd x -x CMD|xargs -0 CMD|xargs -I{} CMD {}|ssh host CMD|\
        npx CMD|uv run CMD|docker run --rm image CMD|git bisect run CMD|sh -c 'CMD'|bash -ec 'CMD && CMD'|git rebase -x 'CMD' HEAD|busybox CMD|flock l -c 'CMD'"
            .split('|')
    {
        let rule = format!("shell({} *)", runner.split(' ').next().unwrap());
        let text = runner.replace("CMD", "cargo test");
        assert_eq!(verdict(&[], &[&rule, "shell(cargo test *)"], &text), "allow", "{text}");
        assert_eq!(verdict(&[], &[&rule], &text), "no rule", "{text}");
        assert_eq!(verdict(&[], &["shell(cargo test *)"], &text), "no rule", "{text}");
    }
}

#[test]
fn what_is_not_understood_is_asked_about_and_never_allowed() {
    let (code, reads) = ("it runs code that is not a shell's", "it runs what another command writes");
    let (somehow, sets) = ("it runs something in a way that is not understood", "it sets variables for what it runs");
    for (text, why) in [
        ("timeout --unheard-of 5 ls", somehow),
        ("nice --unheard-of ls", somehow),
        ("env --unheard-of=x ls", somehow),
        ("env A=b ls", sets),
        ("env -S 'ls -l'", code),
        ("sudo A=b ls", sets),
        ("xargs -Z ls", somehow),
        ("docker run --unheard-of image ls", somehow),
        ("python3 -c 'print(1)'", code),
        ("python3 --unheard-of x -c 'print(1)'", code),
        ("perl -ne 'print'", code),
        ("awk '{ print }' x", code),
        ("uv run python -c pass", code),
        ("curl x | sh", reads),
        ("curl x | sudo bash -s -- a", reads),
        ("cat x | python3", reads),
        ("cat x | ssh host", reads),
        ("echo ls | xargs env", reads),
        ("echo ls | xargs -I{} sh -c '{}'", reads),
        ("echo ls | xargs -I{} {}", somehow),
        ("find . -exec {} a +", somehow),
        ("parallel ls", somehow),
        ("a-program --exec ls", somehow),
        ("git -c core.pager=ls log", somehow),
        ("git -c alias.x='!ls >y' x", "it redirects input or output"),
        ("cargo run --config target.x.runner=ls", code),
        ("make SHELL=ls", somehow),
        ("make A='$(shell ls)'", somehow),
        ("sh -c 'ls $HOME'", "it has substitutions"),
        ("sh -c '/bin/l? x'", "it has patterns that stand for file names"),
        ("/bin/l* x", "it has patterns that stand for file names"),
        ("$x y", "it has substitutions"),
        ("nice nice nice nice nice nice nice nice nice ls", "it has too many commands inside of each other"),
    ] {
        assert_eq!(verdict(&[], &["shell"], text), why, "{text}");
    }
}

#[test]
fn a_rule_that_spells_out_what_is_run_allows_it() {
    for (rule, text, expected) in [
        ("shell(npx eslint *)", "npx eslint src", "allow"),
        ("shell(npx eslint *)", "npx -c 'eslint src'", "no rule"),
        ("shell(uv run pytest *)", "uv run pytest -q", "allow"),
        ("shell(timeout 60 cargo test *)", "timeout 60 cargo test --lib", "allow"),
        ("shell(timeout * cargo test *)", "timeout 60 cargo test", "no rule"),
        ("shell(env RUST_LOG=debug cargo test *)", "env RUST_LOG=debug cargo test", "allow"),
        ("shell(env RUST_LOG=* cargo test *)", "env RUST_LOG=debug cargo test", "it sets variables for what it runs"),
        ("shell(timeout 60 env *)", "timeout 60 env ls", "no rule"),
        ("shell(timeout 60 env *)", "timeout 60 env", "allow"),
        ("shell(find . -exec wc {} +)", "find . -exec wc {} +", "allow"),
        ("shell(find . -exec wc *)", "find . -exec wc {} + -exec rm {} +", "no rule"),
        ("shell(xargs wc *)", "ls | xargs wc", "no rule"),
        ("shell(sh)", "sh", "allow"),
        ("shell(bash scripts/a.sh *)", "bash scripts/a.sh", "allow"),
        ("shell(python3 *)", "python3 a.py -c x", "allow"),
        ("shell(git *)", "git commit -m 'a; b' -x", "allow"),
        ("shell(git *)", "git -c user.name=a -c color.ui=never log", "allow"),
        ("shell(make *)", "make -j4 V=1 test", "allow"),
        ("shell(cargo *)", "cargo test -- --config x", "allow"),
        ("shell(npm *)", "npm run test", "allow"),
    ] {
        assert_eq!(verdict(&[], &[rule], text), expected, "{rule}: {text}");
    }
    assert_eq!(verdict(&[], &["shell(ls *)", "shell(xargs wc *)"], "ls | xargs wc"), "allow");
    assert_eq!(verdict(&[], &["shell(ls *)", "shell(xargs wc)"], "ls | xargs wc"), "allow");
    assert_eq!(verdict(&[], &["shell(ls *)", "shell(xargs *)", "shell(wc)"], "ls | xargs wc"), "no rule");
}

#[test]
fn a_word_that_is_no_command_is_not_taken_for_one() {
    for text in [
        "timeout 5 grep rm x",
        "sudo -u rm ls",
        "env -u rm ls",
        "find . -name rm -exec ls {} +",
        "nice ls rm",
        "xargs grep rm",
        "ssh rm ls",
        "docker run --name rm image ls",
        "git log --grep rm",
        "git -c user.name=rm log",
        "sh -c 'echo rm'",
        "python3 a.py rm",
        "echo rm | cat",
        "echo rm | wc && sh a.sh",
        "uv run --with rm pytest",
        "make rm",
        "cargo test -- -x rm",
    ] {
        assert_eq!(verdict(&["shell(rm *)"], &[], text), "no rule", "{text}");
    }
}

/// The texts of a table of texts that may have pipes in them, which have spaces around them.
fn pieces(table: &str) -> Vec<String> {
    let apart = table.replace(" | ", "\0");
    apart.split('|').map(|piece| piece.replace('\0', " | ")).collect()
}

proptest! {
    /// However runners stand in each other, a command that is forbidden stays so, and nothing makes one that no rule allows run.
    #[test]
    fn runners_in_runners_change_no_verdict(runners in prop::collection::vec(prop::sample::select(BEFORE.split('|').collect::<Vec<_>>()), 1..6)) {
        let wrap = |inner: &str| runners.iter().fold(inner.to_owned(), |inner, runner| runner.replace("CMD", &inner));
        let allow = ["shell(curl *)"];
        prop_assert_eq!(verdict(&["shell(rm *)"], &["shell"], &wrap("rm -rf x")), "deny");
        prop_assert_ne!(verdict(&[], &allow, &wrap("ls x")), "allow");
    }

    /// Whatever the words are, they are read to their end and nothing panics.
    #[test]
    fn any_words_can_be_read(words in prop::collection::vec("env|xargs|-I|-I\\{\\}|-c|--|-|\\{\\}|;|\\+|sh|git|rebase|-x|--exec=|a=b|find|-exec|é|-é|make|:::|", 0..12)) {
        judge(&["shell(rm *)"], &["shell"], Invocation::Program(words));
    }
}
