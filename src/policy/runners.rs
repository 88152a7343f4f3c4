//! The programs that are there to run something, with their options and where in their words that stands: one table for the rules
//! that forbid and for those that allow.
//!
//! An option has behind it what it takes: nothing, `=` a value, `~` a value in the same word, `!` text for a shell, `?` code of
//! another language or what cannot be told, `&` a setting of git's, `.` a program that has everything behind it, `+` a command.
//! `-#` is a number. What is not in the list of a program whose command stands behind its options is not understood.

pub(super) struct Runner {
    /// With a space between them.
    pub(super) names: &'static str,
    pub(super) options: &'static str,
    pub(super) runs: Runs,
}

pub(super) enum Runs {
    /// The command behind so many operands.
    Command(usize),
    /// The command behind variables.
    Assigned,
    /// The command, and behind it what stands in its input.
    Appending,
    /// All words behind so many operands, as text for a shell.
    Text(usize),
    /// The file that is its first operand, or its input.
    File,
    /// The same, or with `-c` the text that is its first operand.
    Shell,
    /// The code that is its first operand.
    Code,
    /// What its options say and nothing else.
    Options,
    /// The command behind `--`.
    Dashed,
    /// What the first operand names.
    Within(&'static [Runner]),
    /// What stands in variables.
    Make,
    /// What its operands set.
    Settings,
    /// Something somewhere in its words.
    Anything,
}

use Runs::{Anything, Appending, Assigned, Code, Command, Dashed, File, Make, Options, Settings, Shell, Text, Within};

const fn runner(names: &'static str, options: &'static str, runs: Runs) -> Runner {
    Runner { names, options, runs }
}

const NPX: &str = "-p= --package= -y --yes --no --no-install -c! --call! -q --quiet -w= --workspace= --workspaces --prefix= \
     --offline --prefer-offline --prefer-online --ignore-existing";

const UVX: &str = "--from= --with= --with-editable= --with-requirements= -p= --python= --isolated -q --quiet -v --verbose --refresh \
     --index= --default-index= --no-config -U --upgrade --offline --env-file= -n --no-cache --directory= --project=";

const CONTAINER: &str = "-d --detach -i --interactive -t --tty --rm -v= --volume= -e= --env= -w= --workdir= -p= --publish= -u= --user= \
     --name= --network= --net= --mount= --entrypoint! --platform= --pull= --env-file= --init --privileged -h= --hostname= --gpus= \
     --cap-add= --cap-drop= --security-opt= -m= --memory= --cpus= -l= --label= --link= --add-host= --ipc= --pid= --shm-size= --tmpfs= \
     --read-only --restart= --ulimit= --volumes-from= --userns= -q --quiet -P --publish-all --device= --group-add= -T --no-deps \
     --detach-keys= --index= --service-ports --build";

const IN_CONTAINERS: &[Runner] = &[
    runner("run create exec", CONTAINER, Command(1)),
    runner("container", "", Within(&[runner("run create exec", CONTAINER, Command(1))])),
    runner("compose", COMPOSE, Within(COMPOSED)),
];

const COMPOSE: &str = "-f= --file= -p= --project-name= --profile= --env-file= --project-directory= --ansi= --progress=";
const COMPOSED: &[Runner] = &[runner("run exec", CONTAINER, Command(1))];

const GIT: &[Runner] = &[
    runner("rebase", "-x! --exec!", Options),
    runner("bisect", "", Within(&[runner("run", "", Command(0))])),
    runner("submodule", "-q --quiet", Within(&[runner("foreach", "-q --quiet --recursive", Text(0))])),
    runner(
        "filter-branch",
        "--setup! --env-filter! --tree-filter! --index-filter! --parent-filter! --msg-filter! --commit-filter! --tag-name-filter!",
        Options,
    ),
    runner("difftool mergetool", "-x! --extcmd!", Options),
    runner("clone", "-u! --upload-pack! -c& --config&", Options),
    runner("fetch pull ls-remote fetch-pack", "--upload-pack!", Options),
    runner("push send-pack archive", "--receive-pack! --exec!", Options),
    runner("grep", "--open-files-in-pager?", Options),
    runner("send-email", "--sendmail-cmd! --to-cmd! --cc-cmd! --smtp-server?", Options),
    runner("config", "-f= --file= --default= --type= --comment=", Settings),
    runner("for-each-repo", "", Anything),
];

pub(super) const RUNNERS: &[Runner] = &[
    // Those that change how a command runs.
    runner(
        "env",
        "- -i -0 -v -u= -C= -S? --ignore-environment --null --unset= --chdir= --split-string? --debug --block-signal~ --default-signal~",
        Assigned,
    ),
    runner(
        "sudo",
        "-A -b -E -H -K -k -n -P -S -s -i -B -N -C= -D= -g= -h= -p= -R= -r= -t= -T= -U= -u= --user= --group= --host= --prompt= --chdir= \
         --chroot= --askpass --background --preserve-env --set-home --login --non-interactive --stdin --shell --reset-timestamp \
         --close-from= --role= --type= --command-timeout= --other-user= --bell",
        Assigned,
    ),
    runner("doas", "-u= -C= -n -s -L", Command(0)),
    runner("su", "-c! --command! --session-command! -s? --shell? -l - --login -m -p -P -g= -G= -w=", Options),
    runner("pkexec", "--user= -u= --disable-internal-agent --keep-cwd", Command(0)),
    runner("runuser setarch linux32 linux64 perf faketime firejail bwrap proot capsh", "", Anything),
    runner("nice", "-n= -# --adjustment=", Command(0)),
    runner("ionice", "-c= -n= -t --class= --classdata= --ignore", Command(0)),
    runner("chrt", "-b -f -i -o -r -d -R -a -v --batch --fifo --idle --other --rr --deadline --reset-on-fork -T= -P= -D=", Command(1)),
    runner("taskset", "-a --all-tasks -c --cpu-list", Command(1)),
    runner("nohup fakeroot busybox toybox chronic ifne corepack dbus-run-session caffeinate unbuffer builtin wine", "", Command(0)),
    runner("command", "-p", Command(0)),
    runner("exec", "-c -l -a=", Command(0)),
    runner("setsid", "-c -f -w --ctty --fork --wait", Command(0)),
    runner("stdbuf", "-i= -o= -e= --input= --output= --error=", Command(0)),
    runner("timeout", "-k= -s= -v -f -p --kill-after= --signal= --foreground --preserve-status --verbose", Command(1)),
    runner("time", "-p -v -q -a -l -o= -f= --portability --verbose --quiet --append --output= --format=", Command(0)),
    runner(
        "setpriv",
        "--reuid= --regid= --clear-groups --keep-groups --init-groups --groups= --inh-caps= --ambient-caps= --bounding-set= \
         --no-new-privs --nnp --pdeathsig= --reset-env --securebits= --selinux-label= --apparmor-profile=",
        Command(0),
    ),
    runner("prlimit", "--as~ --core~ --cpu~ --data~ --fsize~ --nofile~ --nproc~ --stack~ -c~ -d~ -f~ -n~ -s~ -t~ -u~ -v~", Command(0)),
    runner("numactl", "-i= -N= -m= -C= -l --interleave= --cpunodebind= --membind= --physcpubind= --localalloc", Command(0)),
    runner("chroot", "--userspec= --groups= --skip-chdir", Command(1)),
    runner(
        "unshare",
        "-m -u -i -n -p -U -C -T -f -r -c --mount~ --uts~ --ipc~ --net~ --pid~ --user~ --cgroup~ --time~ --fork --map-root-user \
         --map-current-user --map-auto --mount-proc~ --kill-child~ --propagation= -R= --root= -w= --wd= -S= --setuid= -G= --setgid=",
        Command(0),
    ),
    runner(
        "nsenter",
        "-a -F -Z -t= --all --target= -m~ -u~ -i~ -n~ -p~ -U~ -C~ -T~ -r~ -w~ --mount~ --uts~ --ipc~ --net~ --pid~ --user~ \
         --cgroup~ --time~ --root~ --wd~ -S= --setuid= -G= --setgid= --no-fork",
        Command(0),
    ),
    runner(
        "systemd-run",
        "--user --system --scope -t --pty -P --pipe -p= --property= --unit= -u= --slice= --description= --wait -G --collect -q --quiet \
         --same-dir -d --working-directory= -E= --setenv= --uid= --gid= --nice= --on-active= --on-calendar= -r --remain-after-exit",
        Command(0),
    ),
    runner("systemd-inhibit", "--what= --who= --why= --mode=", Command(0)),
    runner("xvfb-run", "-a --auto-servernum -n= -s= --server-args= -e= -w=", Command(0)),
    runner(
        "strace ltrace",
        "-f -ff -c -C -i -k -q -qq -r -t -tt -T -v -w -x -xx -y -yy -e= -o= -s= -u= -a= -P= -S= -O= -I= -E=",
        Command(0),
    ),
    runner(
        "valgrind",
        "-q -v --tool= --leak-check= --track-origins= --error-exitcode= --show-leak-kinds= --log-file= --suppressions= \
         --trace-children= --num-callers=",
        Command(0),
    ),
    runner("ld.so", "--library-path= --preload= --inhibit-cache --argv0=", Command(0)),
    runner(
        "flock",
        "-e -x -s -n -u -o -F -v -w= -E= -c! --command! --exclusive --shared --nonblock --nb --unlock --timeout= --wait= \
         --conflict-exit-code= --close --no-fork --verbose",
        Command(1),
    ),
    runner(
        "script",
        "-c! --command! -a -e -f -q -I= -B= -O= -o= -E= -T= -m= -t~ --append --return --flush --quiet --log-io= --log-out=",
        Command(1),
    ),
    // Those that run a command again and again, later, or for each of many things.
    runner(
        "xargs",
        "-0 -r -t -p -x -o -a= -d= -E= -e~ -I= -i~ -J= -L= -l~ -n= -P= -s= -R= -S= --null --no-run-if-empty --verbose --interactive \
         --exit --open-tty --arg-file= --delimiter= --eof~ --replace~ --max-lines~ --max-args= --max-procs= --max-chars=",
        Appending,
    ),
    runner("find", "-exec+ -execdir+ -ok+ -okdir+", Options),
    runner("fd fdfind", "-x+ -X+ --exec+ --exec-batch+", Options),
    runner(
        "watch",
        "-b -c -d~ -e -g -t -w -x -n= -q= --interval= --exec --differences~ --no-title --color --beep --errexit --chgexit \
         --precise",
        Text(0),
    ),
    runner("entr", "-a -c -d -n -p -r -z", Command(0)),
    runner(
        "at batch crontab parallel sem watchexec nodemon concurrently hyperfine tmux screen dtach expect gdb lldb pwsh powershell cmd retry",
        "",
        Anything,
    ),
    runner("rg", "--pre!", Options),
    runner(
        "tar",
        "--to-command! --use-compress-program! -I! --checkpoint-action? -F! --info-script! --new-volume-script! --rsh-command!",
        Options,
    ),
    runner("rsync", "-e! --rsh! --rsync-path!", Options),
    runner("scp sftp", "-S! -o? -D!", Options),
    runner("sort", "--compress-program!", Options),
    runner("split", "--filter!", Options),
    runner("man", "-P! --pager!", Options),
    // Elsewhere.
    runner(
        "ssh",
        "-4 -6 -A -a -C -f -G -g -K -k -M -N -n -q -s -T -t -V -v -X -x -Y -y -B= -b= -c= -D= -E= -e= -F? -I? -i= -J= -L= -l= -m= -O= \
         -o? -p= -Q= -R= -S= -W= -w=",
        Text(1),
    ),
    runner("docker podman nerdctl", "-H= --host= -c= --context= --config= -l= --log-level= -D --debug", Within(IN_CONTAINERS)),
    runner("docker-compose podman-compose", COMPOSE, Within(COMPOSED)),
    runner("kubectl oc", "-n= --namespace= --context= --kubeconfig=", Within(&[runner("exec debug run", "", Dashed)])),
    // What developers run things with.
    runner(
        "git",
        "-C= -c& --config-env? --exec-path~ --git-dir= --work-tree= --namespace= -p -P --paginate --no-pager --bare \
         --no-replace-objects --literal-pathspecs --no-optional-locks",
        Within(GIT),
    ),
    runner(
        "npm",
        "--prefix= -w= --workspace= --workspaces -s --silent --loglevel= --script-shell? -C=",
        Within(&[runner("exec x", NPX, Command(0)), runner("explore", "", Dashed)]),
    ),
    runner("npx pnpx", NPX, Command(0)),
    runner(
        "pnpm",
        "-C= --dir= -r --recursive -F= --filter= -w --workspace-root -s --silent",
        Within(&[
            runner("exec", "-r --recursive --parallel --no-bail --resume-from= --report-summary", Command(0)),
            runner("dlx", "--package= --allow-build= -s --silent", Command(0)),
        ]),
    ),
    runner(
        "yarn",
        "--cwd= -s --silent",
        Within(&[
            runner("exec", "", Command(0)),
            runner("dlx", "-p= --package= -q --quiet", Command(0)),
            runner("node", "-e? -p? --eval? --print? -r? --require?", File),
        ]),
    ),
    runner("bunx", "--bun -p= --package= --verbose --silent --no-install", Command(0)),
    runner(
        "bun",
        "-e? --eval? -p? --print? -r? --preload? --cwd= -b --bun",
        Within(&[
            runner("x", "--bun -p= --package= --verbose --silent --no-install", Command(0)),
            runner("exec", "", Text(0)),
            runner("-", "", File),
        ]),
    ),
    runner(
        "uv",
        "-q --quiet -v --verbose --offline --directory= --project= -n --no-cache --cache-dir= --config-file= --no-config --color= \
         --native-tls",
        Within(&[
            runner(
                "run",
                "--with= --with-editable= --with-requirements= --extra= --all-extras --no-extra= --group= --no-group= --only-group= --all-groups \
             --dev --no-dev --only-dev --isolated --active --no-sync --locked --frozen --exact --no-project --package= --all-packages -p= \
             --python= --env-file= --no-env-file -m --module -s --script --gui-script -q --quiet -v --verbose --refresh --reinstall -U \
             --upgrade --index= --default-index= -i= --index-url= --find-links= -f= --no-index --directory= --project= --offline \
             --no-editable --managed-python -n --no-cache --no-config",
                Command(0),
            ),
            runner("tool", "", Within(&[runner("run", UVX, Command(0))])),
        ]),
    ),
    runner("uvx", UVX, Command(0)),
    runner(
        "pipx",
        "",
        Within(&[runner(
            "run",
            "--spec= --pip-args= --python= --no-cache --path --verbose --system-site-packages -i= --index-url= -e --editable --with=",
            Command(0),
        )]),
    ),
    runner(
        "poetry",
        "-C= --directory= -P= --project= -q -v -n --no-interaction --no-ansi --no-plugins",
        Within(&[runner("run", "", Command(0))]),
    ),
    runner("pdm rye pipenv hatch devbox", "-p= --project= -q -v", Within(&[runner("run", "", Command(0))])),
    runner(
        "conda mamba micromamba",
        "",
        Within(&[runner("run", "-n= --name= -p= --prefix= --no-capture-output --live-stream -v --cwd=", Command(0))]),
    ),
    runner("bundle rbenv pyenv nodenv asdf", "", Within(&[runner("exec", "--keep-file-descriptors", Command(0))])),
    runner("direnv", "", Within(&[runner("exec", "", Command(1))])),
    runner("mise op doppler infisical dotenvx aws-vault", "", Within(&[runner("exec x run", "", Dashed)])),
    runner("nix", "", Within(&[runner("develop shell", "-c+ --command+", Options), runner("run", "", Anything)])),
    runner("nix-shell", "--run! --command!", Options),
    runner("rustup", "-v -q", Within(&[runner("run", "--install", Command(1))])),
    runner("cargo", "--config? -x? --exec? --shell!", Options),
    runner("make gmake", "--eval? -E?", Make),
    runner("just", "--shell? --shell-arg? -c+ --command+", Options),
    // Shells, interpreters, and editors that are both.
    runner(
        "sh ash bash dash zsh ksh mksh",
        "-a -b -c -e -f -h -i -k -l -m -n -p -r -s -t -u -v -x -B -C -E -H -P -T -D -o= -O= --posix --login --norc --noprofile --rcfile? \
         --init-file? --noediting",
        Shell,
    ),
    runner("fish csh tcsh", "-c! -C! --command! --init-command! -N --no-config -P -i -l -f -e", File),
    runner("python pypy", "-c? -m. -W= -X= -O -B -b -d -E -h -i -I -q -R -s -S -u -v -V -x -P -t", File),
    runner("perl", "-e? -E? -M? -m? -n -p -w -W -X -a -c -f -h -s -S -t -T -u -U -v -i~ -l~ -0~ -d~ -V~ -C~ -D~ -F~ -x~ -I=", File),
    runner("ruby", "-e? -r? -n -p -a -l -w -c -s -S -U -v -h -y -i~ -W~ -F~ -x~ -T~ -0~ -K~ -C= -E= -I=", File),
    runner(
        "node nodejs ts-node tsx",
        "-pe? -e? -p? --eval? --print? -r? --require? --import? --loader? --experimental-loader? -c -i -v -h --test --watch",
        File,
    ),
    runner("deno", "", Within(&[runner("eval", "-p --print -q -T --ext=", Code), runner("run", "-A -q --allow-all", File)])),
    runner("php", "-r? -B? -R? -E? -F= -f. -d= -c= -n -a -S= -t= -z= -l -m -i -q -s -w", File),
    runner("lua luajit Rscript R julia groovy scala elixir iex swift", "-e? --eval? -E? -l? -L? -i -v", File),
    runner("tclsh", "", File),
    runner("osascript", "-e? -l=", File),
    runner("awk gawk mawk nawk", "-f. -F= -v= --file.", Code),
    runner("emacs", "--eval? -eval? -f= --funcall= -l= --load= --batch -Q", Options),
    runner("vim vi nvim ex view", "-c? --cmd? -S?", Options),
];
