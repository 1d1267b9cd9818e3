//! Several ranks on one run or one comparison: the same bits as one process, whatever happens on the
//! way. `cargo test --release -p secant-tests --features mpi --test ranks`, with `mpirun` of Open
//! MPI; without the feature only that the program then needs no MPI.
//!
//! `SECANT_EXHAUSTIVE=1` tries every number of ranks and makes as many tries as `docs/cluster.md`
//! states.

const PROGRAM: &str = env!("CARGO_BIN_EXE_secant-under-test");

#[cfg(not(feature = "mpi"))]
mod without {
    use std::process::Command;

    use secant_tests::program;
    use tempfile::TempDir;

    use super::PROGRAM;

    #[test]
    fn no_mpi_is_needed_and_a_start_by_mpirun_is_refused() {
        if let Ok(libraries) = Command::new("ldd").arg(PROGRAM).output() {
            let libraries = String::from_utf8_lossy(&libraries.stdout);
            assert!(!libraries.contains("mpi"), "{libraries}");
        }
        let folder = TempDir::new().unwrap();
        for (number, lines) in [("0", 1), ("1", 0)] {
            let mut command = program::command(PROGRAM, &folder, ["train"]);
            command.envs([
                ("OMPI_COMM_WORLD_SIZE", "2"),
                ("OMPI_COMM_WORLD_RANK", number),
            ]);
            let said = program::ends(&command.output().unwrap(), 2);
            assert_eq!(said.lines().count(), lines, "{said}");
            assert!(lines == 0 || said.contains("--features mpi"), "{said}");
        }
    }
}

#[cfg(feature = "mpi")]
mod with {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;
    use std::process::{Child, Command, Output, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use secant::Random;
    use secant::arch::Isa;
    use secant_tests::{program, small_set};
    use serde_json::Value;
    use tempfile::TempDir;

    use super::PROGRAM;

    fn exhaustive() -> bool {
        std::env::var_os("SECANT_EXHAUSTIVE").is_some()
    }

    /// A folder with data: blocks that are not full, chunks of one block and of more.
    fn folder() -> TempDir {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("set");
        fs::create_dir(&data).unwrap();
        small_set::write_idx(&data, &small_set::draw(333, 149)).unwrap();
        folder
    }

    fn secant(at: &TempDir, words: &str) -> Command {
        program::command(PROGRAM, at, words.split_whitespace())
    }

    /// `ranks` processes that run the program with `words`; no more than there are processors is
    /// asked of anybody.
    fn mpirun(at: &TempDir, ranks: usize, words: &str) -> Command {
        let start = format!("--oversubscribe --bind-to none -n {ranks} {PROGRAM} {words}");
        by_mpirun(at, &start)
    }

    fn by_mpirun(at: &TempDir, words: &str) -> Command {
        let mut command = program::command("mpirun", at, words.split_whitespace());
        command.envs([
            ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
            ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
            // Ranks that wait for each other on few processors let the others work.
            ("OMPI_MCA_mpi_yield_when_idle", "1"),
        ]);
        command
    }

    fn good(mut command: Command) -> String {
        let output = command.output().unwrap();
        program::ends(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the program says of a failure: lines of `mpirun` are not its own.
    fn complaint(output: &Output, status: i32) -> String {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        let own = said.lines().filter(|line| line.starts_with("secant: "));
        let own: Vec<&str> = own.collect();
        assert_eq!(own.len(), 1, "{said}");
        own[0].to_owned()
    }

    /// All of a run's end but what depends on the clock and the machine.
    fn end(run: &Path) -> (Vec<Vec<u8>>, Value) {
        let files = ["model.safetensors", "best.safetensors", "weights.bin"];
        let files = files.map(|name| fs::read(run.join(name)).unwrap_or_default());
        assert!(!files[0].is_empty());
        let text = fs::read_to_string(run.join("result.json")).unwrap();
        let mut record: Value = serde_json::from_str(&text).unwrap();
        for key in ["seconds", "machine", "threads", "isa"] {
            record.as_object_mut().unwrap().remove(key);
        }
        record["settings"]
            .as_object_mut()
            .unwrap()
            .remove("threads");
        for line in record["history"].as_array_mut().unwrap() {
            let line = line.as_object_mut().unwrap();
            line.remove("seconds");
            line.remove("train_seconds");
        }
        (files.to_vec(), record)
    }

    const TRAIN: &str = "train --data set --tolerance 0 --validation 0.25";

    #[test]
    fn the_number_of_ranks_changes_no_bit() {
        let layers = "--model conv4k3s2,relu,conv5k3,relu,dropout0.2,linear12,relu,linear3";
        // Chunks of several blocks; fewer chunks than ranks; line searches; targets that are numbers.
        let runs = [
            format!("{layers} --optimizer adam --batch 150 --epochs 2"),
            format!("{layers} --optimizer lbfgs --batch 40 --epochs 2"),
            format!("{layers} --optimizer lbfgs-row --batch 96 --epochs 2"),
            format!("{layers} --optimizer lbfgs --batch full --epochs 4"),
            // 65,000 weights: several pieces of the chain.
            "--model linear70,relu,linear60,linear3 --optimizer sgd --batch 64 --epochs 1"
                .to_owned(),
            "--predict input --model linear6,linear840 --optimizer lbfgs --epochs 1".to_owned(),
        ];
        let folder = folder();
        let isas = [Isa::Baseline, Isa::detect()];
        let mut tried = 0;
        for (r, run) in runs.iter().enumerate() {
            let words = format!("{TRAIN} {run}");
            good(secant(
                &folder,
                &format!("{words} --threads 1 --out one{r}"),
            ));
            let expected = end(&folder.path().join(format!("one{r}")));
            for ranks in [2, 3, 4, 11] {
                for threads in [1, 2] {
                    for (i, isa) in isas.iter().enumerate() {
                        if !exhaustive() && (r + ranks + threads + i) % 6 != 0 {
                            continue;
                        }
                        let words = format!("{words} --threads {threads} --out many --force");
                        let mut command = mpirun(&folder, ranks, &words);
                        command.env("SECANT_ISA", isa.name());
                        good(command);
                        let found = end(&folder.path().join("many"));
                        let isa = isa.name();
                        assert!(
                            found == expected,
                            "{run}: {ranks} ranks, {threads} threads, {isa}"
                        );
                        tried += 1;
                    }
                }
            }
        }
        println!("{tried} runs on several ranks");
        assert!(tried >= 12);
    }

    /// The processes of a run by their ranks.
    fn processes(launcher: &Child) -> Vec<u32> {
        let children = format!("/proc/{0}/task/{0}/children", launcher.id());
        let children = fs::read_to_string(children).unwrap_or_default();
        let rank = |id: u32| {
            let variables = fs::read(format!("/proc/{id}/environ")).ok()?;
            let variables = String::from_utf8_lossy(&variables).into_owned();
            let mut variables = variables.split('\0');
            let rank = variables.find_map(|v| v.strip_prefix("OMPI_COMM_WORLD_RANK="))?;
            Some((rank.parse::<usize>().ok()?, id))
        };
        let ids = children.split_whitespace().filter_map(|id| id.parse().ok());
        let ranks: BTreeMap<usize, u32> = ids.filter_map(rank).collect();
        ranks.into_values().collect()
    }

    fn send(signal: &str, id: u32) {
        let _ = Command::new("kill")
            .args(["-s", signal, &id.to_string()])
            .stderr(Stdio::null())
            .status();
    }

    /// Waits until a condition holds, as it must.
    fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}");
            sleep(Duration::from_millis(5));
        }
    }

    /// Some seconds, so that a signal comes before its end: mpirun, asked to end, waits one before it
    /// asks its ranks. And some milliseconds an epoch: then mpirun reads no more, and a rank whose
    /// lines do not fit into the pipe any longer waits until it is killed.
    const LONG: &str = "train --data set --tolerance 0 --model conv32k5,relu,pool2,linear3 --batch 64 \
                        --epochs 240 --threads 1 --checkpoint-every 1epoch";

    /// A run that has come some epochs far.
    fn begun(at: &TempDir, ranks: usize, words: &str, out: &str) -> Child {
        let mut command = mpirun(at, ranks, &format!("{words} --out {out}"));
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let metrics = at.path().join(out).join("metrics.csv");
        until("the run begins", || {
            assert!(child.try_wait().unwrap().is_none(), "it has ended");
            fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() > 3)
        });
        child
    }

    #[test]
    fn a_run_goes_on_after_a_signal_and_after_a_lost_rank() {
        let folder = folder();
        let at = folder.path();
        good(secant(&folder, &format!("{LONG} --out whole")));
        let expected = end(&at.join("whole"));
        let tries = if exhaustive() { 12 } else { 3 };
        let mut random = Random::new(4, 0);
        for attempt in 0..tries {
            // To any rank, or to all by way of the launcher.
            let out = format!("out{attempt}");
            let mut child = begun(&folder, 3, LONG, &out);
            let ranks = processes(&child);
            assert_eq!(ranks.len(), 3);
            sleep(Duration::from_millis(u64::from(random.below(300))));
            let one = ranks[random.below(3) as usize];
            match attempt % 3 {
                0 => send("TERM", ranks[1 + random.below(2) as usize]),
                1 => send("KILL", one),
                _ => send("TERM", child.id()),
            }
            let status = child.wait().unwrap().code();
            let done = at.join(&out).join("result.json").exists();
            match attempt % 3 {
                0 => assert!(status == Some(143) && done, "{status:?}"),
                1 => assert!(status != Some(0) && !done, "{status:?}"),
                _ => assert!(status != Some(0) && done, "{status:?}"),
            }
            until("no rank is left", || {
                ranks
                    .iter()
                    .all(|id| !Path::new(&format!("/proc/{id}/fd/0")).exists())
            });
            assert!(at.join(&out).join("checkpoint.bin").exists());
            // On another number of ranks, one among them.
            let resume = format!("train --resume {out}");
            match [1, 2, 4][random.below(3) as usize] {
                1 => good(secant(&folder, &resume)),
                ranks => good(mpirun(&folder, ranks, &resume)),
            };
            assert!(end(&at.join(&out)) == expected, "try {attempt}");
            let said = good(mpirun(&folder, 2, &resume));
            assert!(said.contains("nothing to resume"), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_a_line_by_one_rank() {
        let folder = folder();
        let at = folder.path();
        let other = at.join("other");
        fs::create_dir(&other).unwrap();
        small_set::write_idx(&other, &small_set::draw(330, 149)).unwrap();
        let run = "train --model linear3 --epochs 1 --threads 1 --out out";
        let refused = |words: &str, status: i32| {
            let output = by_mpirun(&folder, words).output().unwrap();
            assert!(!at.join("out/result.json").exists());
            complaint(&output, status)
        };
        let two = |first: &str, second: &str| {
            format!("--oversubscribe -n 1 {first} {run} : -n 1 {second} {run}")
        };
        let set = |name: &str| format!("-x SECANT_DATA={name} {PROGRAM}");
        let said = refused(&two(&set("set"), &set("other")), 2);
        assert!(
            said.contains("rank 1: this rank and rank 0 have different data"),
            "{said}"
        );
        let said = refused(&two(&set("set"), &set("nowhere")), 2);
        assert!(said.contains("rank 1: nowhere"), "{said}");
        let said = refused(&two(&set("nowhere"), &set("nowhere")), 2);
        assert!(said.starts_with("secant: nowhere"), "{said}");
        // Another build: a byte behind the program changes nothing but its digest.
        let mut program = fs::read(PROGRAM).unwrap();
        program.push(0);
        let copy = at.join("another");
        fs::copy(PROGRAM, &copy).unwrap();
        fs::write(&copy, program).unwrap();
        let copy = format!("-x SECANT_DATA=set {}", copy.display());
        let said = refused(&two(&set("set"), &copy), 2);
        assert!(said.contains("different builds of secant"), "{said}");
        // Wrong options, commands of one process, a folder without room.
        for words in [
            "train --optimizer magic",
            "train --config nowhere.toml",
            "bench",
            "train --resume set",
        ] {
            let output = mpirun(&folder, 2, words).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{words}: {said}");
            let own = |line: &&str| line.starts_with("secant: ") || line.starts_with("error: ");
            assert_eq!(said.lines().filter(own).count(), 1, "{words}: {said}");
        }
        let limited = format!("trap '' XFSZ; ulimit -f 1; exec {PROGRAM} {run}");
        let mut command = by_mpirun(&folder, "--oversubscribe -x SECANT_DATA=set -n 2 bash -c");
        command.arg(limited);
        let said = complaint(&command.output().unwrap(), 3);
        assert!(said.contains("secant: cannot write out/"), "{said}");
    }

    const COMPARE: &str = "compare --data set --epochs 1 --model conv2k3,relu,pool4 --evaluations 3 \
                           --optimizers adam,lbfgs --seeds 3 --targets 0.5 --tune 2";

    /// A table without its columns of seconds.
    fn without_seconds(folder: &Path, name: &str) -> Vec<Vec<String>> {
        let mut reader = csv::Reader::from_path(folder.join(name)).unwrap();
        let headers = reader.headers().unwrap().clone();
        let rows = reader.records().map(|row| {
            let row = row.unwrap();
            let cells = row.iter().zip(&headers);
            let cells = cells.filter(|(_, header)| !header.contains("seconds"));
            cells.map(|(cell, _)| cell.to_owned()).collect()
        });
        rows.collect()
    }

    /// Runs of the comparison: two settings of two optimisers with three seeds each, and three final
    /// ones of each.
    const RUNS: usize = 2 * 2 * 3 + 2 * 3;

    fn tables(at: &TempDir, out: &str) -> Vec<Vec<Vec<String>>> {
        let out = at.path().join(out);
        let runs = fs::read_dir(out.join("runs")).unwrap().count();
        assert_eq!(runs, RUNS, "each run once");
        let names = ["runs.csv", "evaluations.csv", "tuning.csv", "compare.csv"];
        names.map(|name| without_seconds(&out, name)).to_vec()
    }

    #[test]
    fn a_comparison_on_several_ranks_is_one_comparison() {
        let folder = folder();
        good(secant(&folder, &format!("{COMPARE} --jobs 2 --out one")));
        let expected = tables(&folder, "one");
        for ranks in [2, 3, 5] {
            let said = good(mpirun(
                &folder,
                ranks,
                &format!("{COMPARE} --out many{ranks}"),
            ));
            // A line for each run, whoever has made it.
            let lines = said.lines().filter(|line| line.ends_with(" s left"));
            assert_eq!(lines.count(), RUNS, "{said}");
            assert!(
                tables(&folder, &format!("many{ranks}")) == expected,
                "{ranks} ranks"
            );
        }
        // Finished runs are not made again, by any number of ranks.
        let before = fs::read(folder.path().join("many3/compare.csv")).unwrap();
        good(mpirun(&folder, 4, &format!("{COMPARE} --out many3")));
        assert!(fs::read(folder.path().join("many3/compare.csv")).unwrap() == before);
        // Looks that add seeds, and the record on standard output.
        let auto = COMPARE.replace(
            "--seeds 3",
            "--seeds auto --most-seeds 10 --width 0.001 --json",
        );
        let json = |text: String| -> Value { serde_json::from_str(&text).unwrap() };
        let one = json(good(secant(&folder, &format!("{auto} --out auto1"))));
        let many = json(good(mpirun(&folder, 3, &format!("{auto} --out auto3"))));
        assert_eq!(one["seeds"].as_array().unwrap().len(), 10);
        assert_eq!(one["seeds"], many["seeds"]);
        let tests = |value: &Value| -> Vec<Value> {
            let runs = value["runs"].as_array().unwrap().iter();
            runs.map(|run| run["sha256"].clone()).collect()
        };
        assert_eq!(tests(&one), tests(&many));
        for words in ["--jobs 2", "--timing exclusive", "--shard 1/2 --out s"] {
            let output = mpirun(&folder, 2, &format!("{COMPARE} {words}")).output();
            let said = complaint(&output.unwrap(), 2);
            assert!(said.contains("ranks") || said.contains("rank "), "{said}");
        }
    }

    /// SIGKILL to a random rank at a random moment; then the same command goes on.
    #[test]
    fn a_comparison_goes_on_after_a_lost_rank() {
        let folder = folder();
        good(secant(&folder, &format!("{COMPARE} --jobs 1 --out one")));
        let expected = tables(&folder, "one");
        let tries = if exhaustive() { 50 } else { 3 };
        let (mut random, mut kept, mut early) = (Random::new(6, 0), 0, 0);
        for attempt in 0..tries {
            let out = format!("out{attempt}");
            let words = format!("{COMPARE} --out {out}");
            let mut command = mpirun(&folder, 3, &words);
            let command = command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            let runs = folder.path().join(&out).join("runs");
            let count = || fs::read_dir(&runs).map_or(0, Iterator::count);
            // From before its first run until its last.
            let moment = random.below(RUNS as u32) as usize;
            until("runs are made", || {
                count() >= moment || child.try_wait().unwrap().is_some()
            });
            sleep(Duration::from_millis(u64::from(random.below(20))));
            let ranks = processes(&child);
            let name = ["KILL", "TERM"][usize::from(attempt % 5 == 4)];
            match ranks.get(random.below(3) as usize) {
                Some(rank) => send(name, *rank),
                None => early += 1,
            }
            child.wait().unwrap();
            kept += count();
            let ranks = 2 + random.below(2) as usize;
            good(mpirun(&folder, ranks, &words));
            assert!(tables(&folder, &out) == expected, "try {attempt}");
        }
        println!("{tries} tries, {kept} runs kept, {early} over before");
        assert!(kept > 0);
    }
}
