//! A run that is stopped and goes on: at random moments, by every signal, with every fault that a
//! file can have. What was stopped ends at the bits of what was not.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use secant::Random;
use secant_harness::train::checkpoint::Checkpoint;
use secant_tests::program::{command, ends, refusal};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_secant-under-test");

fn secant(folder: &Path, words: &str) -> Command {
    command(
        PROGRAM,
        folder,
        words.split(' ').filter(|word| !word.is_empty()),
    )
}

fn run(folder: &Path, words: &str) -> Output {
    secant(folder, words).output().unwrap()
}

/// The one line of a refusal.
fn refuses(folder: &Path, words: &str) -> String {
    refusal(&run(folder, words), words)
}

fn send(signal: &str, id: u32) {
    let sent = Command::new("kill")
        .args(["-s", signal, &id.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

fn record(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("result.json")).unwrap()).unwrap()
}

/// All of a run's end but what depends on the clock.
fn end(folder: &Path) -> (Vec<Vec<u8>>, Value) {
    let files = ["model.safetensors", "best.safetensors", "weights.bin"];
    let mut files = files
        .map(|name| fs::read(folder.join(name)).unwrap())
        .to_vec();
    // Of a run that averages its weights.
    files.extend(fs::read(folder.join("average.safetensors")));
    let mut record = record(folder);
    for key in ["seconds", "machine", "threads"] {
        record.as_object_mut().unwrap().remove(key);
    }
    record["settings"]
        .as_object_mut()
        .unwrap()
        .remove("threads");
    for line in record["history"].as_array_mut().unwrap() {
        let line = line.as_object_mut().unwrap();
        assert!(line["train_seconds"].as_f64() <= line["seconds"].as_f64());
        line.remove("seconds");
        line.remove("train_seconds");
    }
    (files, record)
}

const DATA: &str = "train --data synthetic --limit 300 --threads 1 --tolerance 0";

/// Whatever killed a run, no file that it had begun stays once it has gone on.
fn no_temporary_files(folder: &Path) {
    let names = fs::read_dir(folder).unwrap().flatten();
    let names = names.map(|file| file.file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.contains("tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A run that goes on for long and has written a checkpoint after its first epochs.
fn begun(at: &Path, words: &str, out: &str) -> Child {
    let mut child = secant(
        at,
        &format!("{words} --checkpoint-every 1epoch --out {out}"),
    )
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    while !at.join(out).join("metrics.csv").exists()
        || fs::read_to_string(at.join(out).join("metrics.csv"))
            .unwrap()
            .lines()
            .count()
            < 3
    {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it was stopped"
        );
        sleep(Duration::from_millis(5));
    }
    child
}

/// A folder with a run of `words` that was killed after an epoch or more, and its end if it had
/// not been.
fn killed(at: &Path, words: &str) -> (Vec<Vec<u8>>, Value) {
    ends(&run(at, &format!("{words} --out whole")), 0);
    let mut child = begun(at, words, "out");
    send("KILL", child.id());
    child.wait().unwrap();
    assert!(at.join("out/checkpoint.bin").exists());
    assert!(
        !at.join("out/result.json").exists(),
        "it ended before it was killed"
    );
    end(&at.join("whole"))
}

/// Some hundreds of short epochs.
const LONG: &str = "train --data synthetic --limit 300 --threads 1 --tolerance 0 --epochs 400 \
                    --batch 16 --model pool4,linear10";

#[test]
fn a_run_stopped_at_random_moments_ends_at_the_same_bits() {
    // Long: SECANT_EXHAUSTIVE=1.
    let stops = match std::env::var_os("SECANT_EXHAUSTIVE") {
        Some(_) => 200,
        None => 8,
    };
    let runs = [
        "--model pool4,linear10 --batch 8 --epochs 12 --optimizer adam",
        "--model conv2k5s3,relu,dropout0.2,linear10 --batch 16 --epochs 6 --optimizer lbfgs --average 0.2",
        "--model pool4,linear10 --batch full --epochs 40 --optimizer lbfgs",
        "--model pool4,linear10 --batch 8 --epochs 12 --optimizer sgd --patience 9",
    ];
    let mut random = Random::new(22, 0);
    let (mut stopped, mut resumed, mut anew) = (0, 0, 0);
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    for (k, words) in runs.iter().enumerate().cycle() {
        let words = format!("{DATA} {words}");
        let whole = format!("whole{k}");
        if !at.join(&whole).exists() {
            ends(&run(at, &format!("{words} --out {whole}")), 0);
        }
        let begin = Instant::now();
        ends(&run(at, &format!("{words} --out timed --force")), 0);
        let length = begin.elapsed();
        let _ = fs::remove_dir_all(at.join("out"));
        let mut next = format!("{words} --out out --force");
        loop {
            let every = ["1epoch", "3epochs", "1s"][random.below(3) as usize];
            let threads = 1 + random.below(2);
            let child = secant(at, &format!("{next} --checkpoint-every {every}"))
                .args(["--threads", &threads.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let signal = ["INT", "TERM", "HUP", "KILL"][random.below(4) as usize];
            if stopped < stops {
                sleep(length.mul_f64(1.1 * f64::from(random.uniform())));
                send(signal, child.id());
            }
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            match output.status.code() {
                Some(0) => break,
                // Before the signals were watched, or killed.
                None => {}
                Some(130 | 143 | 129) => assert!(said.contains("--resume"), "{said}"),
                // It was killed before it had written its first checkpoint.
                Some(2) if next.contains("--resume") && !at.join("out/checkpoint.bin").exists() => {
                    next = format!("{words} --out out --force");
                    anew += 1;
                    continue;
                }
                status => panic!("{signal}: {status:?}: {said}"),
            }
            stopped += 1;
            next = "train --resume out".to_owned();
            resumed += 1;
        }
        let (expected, found) = (end(&at.join(whole)), end(&at.join("out")));
        assert!(expected.0 == found.0, "{words}: the weights differ");
        assert_eq!(expected.1, found.1, "{words}");
        no_temporary_files(&at.join("out"));
        assert!(!at.join("out/checkpoint.bin").exists());
        if stopped >= stops {
            break;
        }
    }
    println!("{stopped} stops, {resumed} resumed, {anew} begun anew");
}

#[test]
fn signals_save_what_was_done() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let words = LONG.replace("--epochs 400", "--epochs 1000000");
    for (signal, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let out = format!("out-{signal}");
        // A test that runs under nohup ignores SIGHUP, and so would its programs.
        let line =
            format!("--default-signal=HUP {PROGRAM} {words} --checkpoint-every never --out {out}");
        let mut child = command("env", at, line.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        assert!(
            lines
                .by_ref()
                .any(|line| line.unwrap().starts_with("    2 "))
        );
        assert!(
            !at.join(&out).join("checkpoint.bin").exists(),
            "it writes none on its way"
        );
        send(signal, child.id());
        lines.for_each(drop);
        let output = child.wait_with_output().unwrap();
        let said = ends(&output, status);
        assert!(
            said.contains(&format!("secant train --resume {out} goes on")),
            "{said}"
        );
        for name in [
            "checkpoint.bin",
            "model.safetensors",
            "best.safetensors",
            "result.json",
        ] {
            assert!(at.join(&out).join(name).exists(), "{signal}: {name}");
        }
        assert_eq!(record(&at.join(&out))["stop_reason"], "interrupted");
    }
}

#[test]
fn a_checkpoint_with_any_fault_is_refused_or_passed_over() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let expected = killed(at, LONG);
    let (file, before) = (
        at.join("out/checkpoint.bin"),
        at.join("out/checkpoint.previous.bin"),
    );
    let (good, older) = (fs::read(&file).unwrap(), fs::read(&before).unwrap());
    assert_ne!(good, older);
    let flip = |i: usize| {
        let mut bytes = good.clone();
        bytes[i] ^= 1;
        bytes
    };
    let version = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[8] = 9;
        bytes
    };
    let faults = [
        (Vec::new(), "is empty"),
        (b"not at all".to_vec(), "is no checkpoint of 'secant train'"),
        (vec![0; good.len()], "is no checkpoint of 'secant train'"),
        (good[..9].to_vec(), "is damaged"),
        (good[..20].to_vec(), "is damaged"),
        (good[..44].to_vec(), "is damaged"),
        (good[..good.len() / 2].to_vec(), "is damaged"),
        (good[..good.len() - 1].to_vec(), "is damaged"),
        ([&good[..], &[0]].concat(), "is damaged"),
        (flip(0), "is no checkpoint of 'secant train'"),
        (flip(12), "is damaged"),
        (flip(44), "is damaged"),
        (flip(good.len() / 2), "is damaged"),
        (flip(good.len() - 1), "is damaged"),
        (version(&good), "has version 9 of the format"),
    ];
    // Alone it is refused, in a line, and left as it is.
    fs::remove_file(&before).unwrap();
    for (bytes, why) in &faults {
        fs::write(&file, bytes).unwrap();
        let said = refuses(at, "train --resume out");
        assert!(
            said.contains("out/checkpoint.bin") && said.contains(why),
            "{why}: {said}"
        );
        assert_eq!(&fs::read(&file).unwrap(), bytes);
    }
    // Of another program.
    let (build, checkpoint) = Checkpoint::decode(&good).unwrap();
    assert_eq!(build.len(), 64);
    fs::write(&file, checkpoint.encode("another")).unwrap();
    let said = refuses(at, "train --resume out");
    assert!(said.contains("made by another build"), "{said}");
    // Whole again under its own name: the same bytes.
    assert_eq!(checkpoint.encode(&build), good);
    // Beside a good one before it, it is passed over.
    for k in [0, 6, 12] {
        let (bytes, why) = &faults[k];
        fs::write(&file, bytes).unwrap();
        fs::write(&before, &older).unwrap();
        let said = ends(&run(at, "train --resume out"), 0);
        assert!(
            said.contains(why) && said.contains("the checkpoint before it is used"),
            "{said}"
        );
        let found = end(&at.join("out"));
        assert!(found == expected, "{why}");
        fs::remove_file(at.join("out/result.json")).unwrap();
    }
    // Nothing left at all: no run, or none that can go on.
    let said = refuses(at, "train --resume out");
    assert!(said.contains("left no checkpoint"), "{said}");
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let mut child = begun(at, LONG, "out");
    send("KILL", child.id());
    child.wait().unwrap();
    let config = fs::read_to_string(at.join("out/config.toml")).unwrap();
    for (from, to, why) in [
        ("seed = 0", "seed = 1", "other settings: 'seed' differs"),
        (
            "epochs = 400",
            "epochs = 401",
            "other settings: 'epochs' differs",
        ),
        ("batch = \"16\"", "batch = \"32\"", "'batch' differs"),
        (
            "pool4 linear10",
            "pool7 linear10",
            "other settings: 'model' differs",
        ),
        ("limit = 300", "limit = 301", "other data"),
        (
            "adam-classic",
            "adam-classic:beta1=0.8",
            "other settings: 'optimizer' differs",
        ),
    ] {
        assert!(config.contains(from), "{from}: {config}");
        fs::write(at.join("out/config.toml"), config.replace(from, to)).unwrap();
        let said = refuses(at, "train --resume out");
        assert!(
            said.contains("out/checkpoint.bin") && said.contains(why),
            "{why}: {said}"
        );
    }
    // The data that the run had is somewhere else now, with other content.
    fs::write(at.join("out/config.toml"), &config).unwrap();
    fs::write(
        at.join("a.csv"),
        "a,b,label\n1,2,x\n2,1,y\n1,3,x\n2,2,y\n3,1,y\n1,1,x\n",
    )
    .unwrap();
    refuses(at, "train --resume out --data a.csv");
    // The file of another run of the same shape.
    let mut other = begun(at, &format!("{LONG} --seed 5"), "other");
    send("KILL", other.id());
    other.wait().unwrap();
    fs::copy(
        at.join("other/checkpoint.bin"),
        at.join("out/checkpoint.bin"),
    )
    .unwrap();
    let said = refuses(at, "train --resume out");
    assert!(said.contains("'seed' differs"), "{said}");
}

#[test]
fn options_that_contradict_a_run_are_refused() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    ends(
        &run(
            at,
            &format!("{DATA} --model pool4,linear10 --epochs 2 --out out"),
        ),
        0,
    );
    for option in [
        "--epochs 2",
        "--seed=1",
        "--model micro",
        "--no-guard",
        "--keep last",
    ] {
        let said = refuses(at, &format!("train --resume out {option}"));
        let name = option.split([' ', '=']).next().unwrap();
        assert!(said.contains(&format!("leave {name} away")), "{said}");
    }
    for option in ["--out again", "--force", "--config out/config.toml"] {
        ends(&run(at, &format!("train --resume out {option}")), 2);
    }
    for folder in ["nowhere", "out/config.toml", "."] {
        let said = refuses(at, &format!("train --resume {folder}"));
        assert!(said.contains("expected the folder of a run"), "{said}");
    }
    // One that has ended says so.
    let before = fs::read(at.join("out/result.json")).unwrap();
    let output = run(at, "train --resume out");
    ends(&output, 0);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("has ended (2 epochs, stop reason: epochs)"),
        "{said}"
    );
    let output = run(at, "train --resume=out --json");
    ends(&output, 0);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, record(&at.join("out")));
    assert_eq!(fs::read(at.join("out/result.json")).unwrap(), before);
}

#[test]
fn two_resumes_at_once_are_one() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let mut child = begun(at, &LONG.replace("--epochs 400", "--epochs 1000000"), "out");
    send("TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let mut both = [(); 2].map(|()| {
        let mut command = secant(at, "train --resume out");
        command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    let loser = loop {
        match both
            .iter_mut()
            .position(|child| child.try_wait().unwrap().is_some())
        {
            Some(loser) => break loser,
            None => sleep(Duration::from_millis(10)),
        }
    };
    let [first, second] = both;
    let (lost, mut won) = if loser == 0 {
        (first, second)
    } else {
        (second, first)
    };
    let said = ends(&lost.wait_with_output().unwrap(), 2);
    assert!(
        said.starts_with("secant: --resume out: another secant is at work"),
        "{said}"
    );
    assert!(won.try_wait().unwrap().is_none());
    // Nor may it be begun anew meanwhile.
    let said = refuses(at, &format!("{LONG} --out out --force"));
    assert!(said.contains("another secant is at work"), "{said}");
    send("KILL", won.id());
    won.wait().unwrap();
}

/// Files may not grow beyond some blocks: what a full disk does, without one.
#[test]
fn a_full_disk_costs_a_checkpoint_and_not_the_run() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    // Its pairs make the checkpoint grow: 10 KB before the first step, 90 KB later.
    let words =
        format!("{DATA} --model pool7s6,linear24,linear10 --epochs 4 --optimizer lbfgs-seed");
    ends(&run(at, &format!("{words} --out whole")), 0);
    let limited = |blocks: u32, words: &str| {
        let line = format!("trap '' XFSZ; ulimit -f {blocks}; exec {PROGRAM} {words}");
        command("bash", at, ["-c", &line]).output().unwrap()
    };
    // Not even the first one: told before training.
    let said = ends(&limited(2, &format!("{words} --out small")), 3);
    assert!(
        said.contains("small/checkpoint.bin") || said.contains("small/config"),
        "{said}"
    );
    assert!(!at.join("small/model.safetensors").exists());
    // A later one: the run goes on, and ends well.
    let said = ends(
        &limited(40, &format!("{words} --checkpoint-every 1epoch --out out")),
        0,
    );
    assert!(
        said.contains("out/checkpoint.bin") && said.contains("the run goes on"),
        "{said}"
    );
    assert_eq!(
        said.matches("the run goes on").count(),
        1,
        "told once: {said}"
    );
    assert!(end(&at.join("out")) == end(&at.join("whole")));
    no_temporary_files(&at.join("out"));
}

#[test]
fn options_come_from_a_file_and_go_to_one() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    fs::write(
        at.join("options.toml"),
        "data = \"synthetic\"\nlimit = 300\nthreads = 1\nmodel = \"pool4 linear10\"\nepochs = 3\n\
         optimizer = \"adam:beta2=0.95\"\nvalidation = 0.25\nseed = 7\n",
    )
    .unwrap();
    ends(
        &run(at, "train --config options.toml --epochs 2 --out out"),
        0,
    );
    let first = record(&at.join("out"));
    assert_eq!((&first["epochs"], &first["seed"]), (&2.into(), &7.into()));
    assert_eq!(first["dataset"]["validation"], 75);
    // The same without a file, and from the file that the run left.
    ends(
        &run(
            at,
            "train --data synthetic --limit 300 --threads 1 --model pool4,linear10 --epochs 2 \
             --optimizer adam --beta2 0.95 --validation 0.25 --seed 7 --out plain",
        ),
        0,
    );
    ends(&run(at, "train --config=out/config.toml --out again"), 0);
    for other in ["plain", "again"] {
        assert_eq!(
            record(&at.join(other))["sha256"],
            first["sha256"],
            "{other}"
        );
    }
    let left = fs::read_to_string(at.join("out/config.toml")).unwrap();
    assert_eq!(
        left,
        fs::read_to_string(at.join("again/config.toml")).unwrap()
    );
    // Every choice of a run with all kinds of options.
    let all = "train --data synthetic --limit 300 --threads 2 --model pool4 --optimizer lbfgs \
               --batch 16 --learning-rate 0.01 --average 0.25 --schedule constant --warm-up 0.2 --weight-decay 1e-4 \
               --decoupled --beta1 0.8 --beta2 0.9 --epsilon 1e-6 --history 3 --no-guard --max-iter 20 \
               --tolerance 1e-9 --patience 3 --validation 0.3 --seed 18446744073709551615 --keep both \
               --class-weights 1,2,1,1,1,1,1,1,1,0.5 --loss smoothed:0.1 --convolution direct --init he";
    ends(&run(at, &format!("{all} --out all")), 0);
    ends(&run(at, "train --config all/config.toml --out all2"), 0);
    assert_eq!(
        record(&at.join("all"))["settings"],
        record(&at.join("all2"))["settings"]
    );
    assert_eq!(
        record(&at.join("all"))["sha256"],
        record(&at.join("all2"))["sha256"]
    );
    // Wrong files.
    fs::write(at.join("bad.toml"), "epoch = 3\n").unwrap();
    let said = refuses(at, "train --config bad.toml");
    assert!(
        said.contains("bad.toml: 'epoch' is no option") && said.contains("'epochs'"),
        "{said}"
    );
    fs::write(at.join("bad.toml"), [0xff, 0]).unwrap();
    refuses(at, "train --config bad.toml");
    for file in ["nowhere.toml", ".", "/dev/zero"] {
        let said = refuses(at, &format!("train --config {file}"));
        assert!(said.contains(file), "{said}");
    }
}

#[test]
fn a_run_is_made_again_and_compared() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let words = format!("{DATA} --model pool4,linear10 --epochs 2 --average 0.2 --out out");
    ends(&run(at, &words), 0);
    let output = run(at, "rerun out --out again --threads 2");
    ends(&output, 0);
    let sum = record(&at.join("out"))["sha256"]["final"]
        .as_str()
        .unwrap()
        .to_owned();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains(&format!("The same bits as out: {sum}")),
        "{said}"
    );
    let config = fs::read_to_string(at.join("out/config.toml")).unwrap();
    for (from, to, why) in [
        ("seed = 0", "seed = 1", "the initial weights differ already"),
        ("epochs = 2", "epochs = 1", "the settings differ"),
        ("average = 0.2", "average = 0.3", "the settings differ"),
        ("limit = 300", "limit = 299", "the data has changed"),
    ] {
        fs::write(at.join("out/config.toml"), config.replace(from, to)).unwrap();
        let said = ends(&run(at, "rerun out --out other --force"), 2);
        assert!(said.contains("--force"), "an option that it has not");
        let said = ends(
            &run(at, &format!("rerun out --out {}", to.replace(' ', ""))),
            1,
        );
        assert!(said.contains(&sum) && said.contains(why), "{said}");
    }
    refuses(at, "rerun nowhere");
    fs::write(at.join("out/config.toml"), config).unwrap();
    let text = fs::read_to_string(at.join("out/result.json")).unwrap();
    fs::write(
        at.join("out/result.json"),
        text.replace("\"epochs\",", "\"interrupted\","),
    )
    .unwrap();
    let said = refuses(at, "rerun out");
    assert!(said.contains("--resume out"), "{said}");
}

/// The rate is too high for long, so that the best epoch is not the last.
const WAVERS: &str = "train --data synthetic --limit 300 --threads 1 --tolerance 0 --batch 4 --schedule \
                      constant --optimizer adam-classic --learning-rate 0.05 --model pool4,linear10";

#[test]
fn the_best_weights_are_those_of_the_best_epoch() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let output = run(at, &format!("{WAVERS} --epochs 12 --out both"));
    ends(&output, 0);
    let both = record(&at.join("both"));
    let history = both["history"].as_array().unwrap();
    let value = |line: &Value| line["validation_accuracy"].as_f64().unwrap();
    let top = history.iter().map(value).fold(0.0, f64::max);
    let best = 1 + history.iter().position(|line| value(line) == top).unwrap();
    assert!(
        best < 12,
        "the best epoch must not be the last: choose another seed"
    );
    assert_eq!(both["best_epoch"], best);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains(&format!(
            "Epoch {best} was the best on the validation samples"
        )),
        "{said}"
    );
    // A run of only so many epochs ends there, since the rate does not fall.
    ends(
        &run(at, &format!("{WAVERS} --epochs {best} --out until")),
        0,
    );
    let read = |name: &str| fs::read(at.join(name)).unwrap();
    assert!(read("both/best.safetensors") == read("until/model.safetensors"));
    assert!(read("both/best.safetensors") != read("both/model.safetensors"));
    // One file each.
    ends(
        &run(at, &format!("{WAVERS} --epochs 12 --keep best --out best")),
        0,
    );
    assert_eq!(read("best/best.safetensors"), read("both/best.safetensors"));
    assert_eq!(read("best/weights.bin"), read("until/weights.bin"));
    assert!(!at.join("best/model.safetensors").exists());
    ends(
        &run(at, &format!("{WAVERS} --epochs 12 --keep last --out last")),
        0,
    );
    assert_eq!(
        read("last/model.safetensors"),
        read("both/model.safetensors")
    );
    assert!(!at.join("last/best.safetensors").exists());
    // What the other commands take.
    let accuracy = |words: &str| -> f64 {
        let output = run(at, &format!("evaluate {words} --json"));
        ends(&output, 0);
        let record: Value = serde_json::from_slice(&output.stdout).unwrap();
        record["accuracy"].as_f64().unwrap()
    };
    let of = |name: &str| record(&at.join(name))["test_accuracy"].as_f64().unwrap();
    assert_eq!(accuracy("both"), of("both"));
    assert_eq!(accuracy("both --which last"), of("both"));
    assert_eq!(accuracy("both --which best"), of("until"));
    assert_eq!(accuracy("best"), of("until"), "it has no others");
    let said = refuses(at, "evaluate last --which best");
    assert!(
        said.contains("no best.safetensors") && said.contains("--keep"),
        "{said}"
    );
    let said = refuses(at, "evaluate both --which average");
    assert!(
        said.contains("no average.safetensors") && said.contains("--average"),
        "{said}"
    );
    for command in ["predict both --index 3", "export both --format npz"] {
        ends(&run(at, &format!("{command} --which best")), 0);
    }
}

#[test]
fn averaged_weights_are_kept_beside_the_others() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    ends(&run(at, &format!("{WAVERS} --epochs 4 --out plain")), 0);
    let output = run(at, &format!("{WAVERS} --epochs 4 --average 0.2 --out out"));
    ends(&output, 0);
    let said = String::from_utf8(output.stdout).unwrap();
    let figures = said.split_once("Averaged weights, in average.safetensors:\n  validation loss");
    let line = figures.and_then(|(_, rest)| rest.lines().next()).unwrap();
    assert!(line.contains("; test loss ") && line.len() < 64, "{line}");
    let read = |name: &str| fs::read(at.join(name)).unwrap();
    for name in ["model.safetensors", "best.safetensors", "weights.bin"] {
        let of = |run: &str| read(&format!("{run}/{name}"));
        assert!(
            of("plain") == of("out"),
            "{name}: averaging changes no other"
        );
    }
    let record = record(&at.join("out"));
    let average = &record["average"];
    let head = String::from_utf8(read("out/metrics.csv")).unwrap();
    let last: Vec<&str> = head.lines().last().unwrap().split(',').collect();
    let shown: f64 = last.last().unwrap().parse().unwrap();
    assert_eq!(Some(shown), average["validation_accuracy"].as_f64());
    // What the other commands say of them is what the run said.
    let output = run(at, "evaluate out --which average --json");
    ends(&output, 0);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["accuracy"], average["test_accuracy"]);
    for command in [
        "predict out --index 3",
        "export out --format npz --out a",
        "export out --format onnx --out a.onnx",
    ] {
        ends(&run(at, &format!("{command} --which average")), 0);
    }
    for share in ["0", "1.5", "-1", "nan", "x"] {
        let said = ends(&run(at, &format!("{WAVERS} --average {share}")), 2);
        assert!(said.contains("above 0, at most 1"), "{said}");
    }
    // Without validation samples there is a mean as well.
    ends(
        &run(
            at,
            &format!("{WAVERS} --epochs 1 --average 1 --validation 0 --out none"),
        ),
        0,
    );
    assert!(at.join("none/average.safetensors").exists());
}

#[test]
fn patience_ends_a_run_that_gains_nothing() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    ends(&run(at, &format!("{WAVERS} --epochs 40 --out whole")), 0);
    let whole = record(&at.join("whole"));
    let values: Vec<f64> = whole["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["validation_accuracy"].as_f64().unwrap())
        .collect();
    for patience in [1, 2, 5] {
        // The first epoch after which so many have not been better than the best before them.
        let (mut best, mut at_epoch, mut expected) = (f64::MIN, 0, 40);
        for (i, value) in values.iter().enumerate() {
            if *value > best {
                (best, at_epoch) = (*value, i + 1);
            }
            if i + 1 - at_epoch >= patience {
                expected = i + 1;
                break;
            }
        }
        let words = format!("{WAVERS} --epochs 40 --patience {patience} --out patience{patience}");
        ends(&run(at, &words), 0);
        let found = record(&at.join(format!("patience{patience}")));
        assert_eq!(found["epochs"], expected, "{patience}");
        let reason = if expected == 40 { "epochs" } else { "patience" };
        assert_eq!(found["stop_reason"], reason);
    }
    let said = refuses(at, &format!("{WAVERS} --patience 2 --validation 0"));
    assert!(said.contains("--validation sets some aside"), "{said}");
}

#[test]
fn a_run_without_weights_yet_is_told_from_one_that_kept_none() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let mut child = begun(at, LONG, "out");
    send("KILL", child.id());
    child.wait().unwrap();
    let said = refuses(at, "evaluate out");
    assert!(
        said.contains("'secant train --resume out' goes on"),
        "{said}"
    );
    let said = refuses(at, "rerun out");
    assert!(said.contains("only a run that has ended"), "{said}");
}
