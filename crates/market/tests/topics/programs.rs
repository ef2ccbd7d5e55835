//! Programs that are not ours: Python with its packages, and kcat.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

/// The packages, pinned.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// What says in an environment of Python that its packages are all there, and which they are.
const MARK: &str = "complete";

/// Returns kcat, installed where that is allowed.
pub(crate) fn kcat() -> Command {
    static FOUND: LazyLock<()> = LazyLock::new(|| require("kcat", &["-V"], "kcat"));
    LazyLock::force(&FOUND);
    Command::new("kcat")
}

/// Returns a Python that has the packages; it prints without delay.
pub(crate) fn python() -> Command {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(environment);
    let mut command = Command::new(&*FOUND);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg("-u");
    command
}

/// Runs a program to its end, which must be a good one, and gives what it printed.
#[track_caller]
pub(crate) fn well(command: &mut Command, input: &str) -> String {
    let output = run(command, input);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{complaints}",
        output.status
    );
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a program to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe was asked for");
    let input = input.to_owned();
    // Both at once: it may print more than a pipe holds before it has read everything.
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("a child of ours");
    // One that has failed reads nothing more; its output says why.
    let _ = writing.join().expect("writing does not panic");
    output
}

/// Makes the environment once, in a cache outside the tree, and returns its interpreter.
fn environment() -> PathBuf {
    let cache = cache();
    fs::create_dir_all(&cache).unwrap_or_else(|error| panic!("{}: {error}", cache.display()));
    let lock = File::create(cache.join("lock")).expect("a cache takes files");
    lock.lock().expect("a lock can be waited for");
    require("python3", &["--version"], "python3");
    require("python3", &["-c", "import ensurepip, venv"], "python3-venv");
    let version = well(Command::new("python3").arg("--version"), "");
    let place = cache.join(version.trim().to_lowercase().replace(' ', "-"));
    let python = place.join("bin/python");
    let mark = place.join(MARK);
    if fs::read_to_string(&mark).is_ok_and(|found| found == REQUIREMENTS) {
        return python;
    }
    eprintln!(
        "fetching Python packages into {}, this once",
        place.display()
    );
    let mut venv = Command::new("python3");
    well(venv.args(["-m", "venv", "--clear"]).arg(&place), "");
    let requirements = place.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).expect("a cache takes files");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--requirement"]);
    well(pip.arg(&requirements), "");
    fs::write(mark, REQUIREMENTS).expect("a cache takes files");
    python
}

fn cache() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = set("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")));
    let base = base.expect("neither XDG_CACHE_HOME nor HOME is set: no place for a cache");
    base.join("foldline/python")
}

/// Makes sure that a program works: installs its package where that is allowed, and else says
/// how to.
fn require(program: &str, arguments: &[&str], package: &str) {
    let works = || {
        let mut command = Command::new(program);
        let output = command.args(arguments).stdin(Stdio::null()).output();
        output.is_ok_and(|output| output.status.success())
    };
    if works() {
        return;
    }
    assert!(
        Path::new("/etc/debian_version").exists(),
        "`{program} {}` does not work: install {package} (Homebrew: brew install kcat python), \
         then run this again",
        arguments.join(" ")
    );
    let id = well(Command::new("id").arg("-u"), "");
    assert!(
        id.trim() == "0",
        "`{program} {}` does not work; to install what is missing:\n  \
         sudo apt-get install -y {package}",
        arguments.join(" ")
    );
    eprintln!("{program} cannot be found: installing {package} with apt-get");
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["-q", "-y"])
            .env("DEBIAN_FRONTEND", "noninteractive");
        well(apt.args(arguments), "");
    };
    apt(&["update"]);
    apt(&["install", "--no-install-recommends", package]);
    assert!(
        works(),
        "{program} does not work, although {package} is installed"
    );
}
