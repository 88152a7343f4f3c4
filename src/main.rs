//! The program: flags, the server, the exit code.
fn main() {
    let mut flags = vec![];
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        if a == "--version" {
            println!("{}", pillion::build_info::version_line());
            return;
        }
        let v = args.next().unwrap_or_default();
        let f: &'static str = Box::leak(a.into_boxed_str());
        flags.push((f, v));
    }
    let o = pillion::config::Overrides { config: None, flags };
    let s = pillion::config::Settings::load(&o, &|n| std::env::var(n).ok()).expect("settings");
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("rt");
    let r = rt.block_on(pillion::serve::on_stdio(s)).expect("serve");
    rt.shutdown_background();
    std::process::exit(r.exit_code());
}
