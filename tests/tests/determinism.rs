//! Runs of random settings on random data: the same bits of every weight on every instruction set of
//! this machine and with any number of threads. `SECANT_EXHAUSTIVE=1` makes 1,000 of them.
//!
//! One test alone in its file, since the instruction set is the whole process's.

use clap::Parser;
use secant::Random;
use secant::arch::Isa;
use secant::network::Shape;
use secant_harness::cli::{Cli, Command};
use secant_harness::data::dataset::{Dataset, Part};
use secant_harness::data::elements::{Elements, Targets};
use secant_harness::optimizers;
use secant_harness::train::Trainer;
use secant_tests::contract_bits;

const THREADS: [&str; 6] = ["1", "2", "3", "5", "8", "16"];

const LAYERS: [&str; 26] = [
    "conv3k3",
    "conv8k3",
    "conv9k3p1",
    "conv5k1",
    "conv4k2s2",
    "conv2k5p2",
    "conv7k3x1",
    "conv6k1x4p0x2",
    "conv16k3p1s2",
    "depthwise3p1",
    "depthwise2",
    "pool2",
    "pool3s2",
    "pool1x2",
    "avgpool2",
    "avgpool3s1",
    "globalavgpool",
    "relu",
    "relu",
    "tanh",
    "sigmoid",
    "leakyrelu0.1",
    "layernorm",
    "groupnorm2",
    "dropout0.3",
    "linear7",
];

const SETTINGS: [&str; 24] = [
    "--schedule constant",
    "--schedule cosine",
    "--warm-up 0",
    "--warm-up 0.5",
    "--weight-decay 0.01",
    "--weight-decay 0.1 --decoupled",
    "--nesterov yes",
    "--nesterov no",
    "--beta1 0",
    "--beta1 0.5 --beta2 0.9",
    "--history 1",
    "--history 3",
    "--history 17",
    "--line-search wolfe",
    "--line-search armijo",
    "--curvature skip",
    "--scaling diagonal",
    "--no-guard",
    "--init he",
    "--tolerance 0",
    "--learning-rate 1e-5",
    "--learning-rate 3",
    "--validation 0.2",
    "--epsilon 1e-3",
];

struct Draw(Random);

impl Draw {
    /// A number from 0 to below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        ((f64::from(self.0.uniform()) * bound as f64) as usize).min(bound - 1)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// Up to 200 samples, fewer of large shapes; their classes can be seen in them.
    fn dataset(&mut self) -> Dataset {
        let shape = Shape::new(1 + self.below(3), 1 + self.below(11), 1 + self.below(11));
        let classes = 2 + self.below(3);
        let most = (4000 / shape.len()).clamp(10, 190);
        let mut part = |count: usize| {
            let labels: Vec<u16> = (0..count).map(|i| (i % classes) as u16).collect();
            let noise = (0..count * shape.len()).map(|i| {
                let class = usize::from(labels[i / shape.len()]);
                self.below(160) + if i % classes == class { 95 } else { 0 }
            });
            Part {
                elements: Elements::U8(noise.map(|x| x as u8).collect()),
                targets: Targets::Classes(labels),
            }
        };
        let (train, test) = (part(10 + most), part(9));
        let names = (0..classes).map(|class| class.to_string()).collect();
        let (name, source) = ("drawn".to_owned(), "drawn".to_owned());
        Dataset::new(name, source, shape, names, (train, test), Vec::new())
    }

    /// A command, for such data; not every one is accepted.
    fn words(&mut self, samples: usize) -> String {
        let layers: Vec<&str> = (0..1 + self.below(5)).map(|_| self.one(&LAYERS)).collect();
        let names: Vec<&str> = optimizers::named().map(|entry| entry.name).collect();
        let mut words = format!(
            "secant train --model {} --optimizer {} --convolution {} --max-iter {} --seed {}",
            layers.join(","),
            self.one(&names),
            self.one(&["direct", "winograd"]),
            2 + self.below(7),
            self.below(1000),
        );
        if self.below(4) > 0 {
            words += &format!(" --batch {}", 1 + self.below(samples));
        }
        for _ in 0..self.below(3) {
            words += " ";
            words += self.one(&SETTINGS);
        }
        words
    }
}

/// The run of a command: what it ends with; none where it is refused.
fn outcome(words: &str, threads: &str, dataset: &Dataset) -> Option<(Vec<u32>, u32, u64)> {
    let words = words.split(' ').chain(["--threads", threads]);
    let Command::Train(arguments) = Cli::try_parse_from(words).ok()?.command else {
        panic!("the words begin with train");
    };
    let config = arguments.resolve(dataset.task()).ok()?;
    // The instruction set without vectors takes a hundred times as long.
    if config.model.network.multiply_accumulates() > 20_000 {
        return None;
    }
    let mut memory = Trainer::memory(&config);
    let mut trainer = Trainer::new(&config, dataset, &mut memory).ok()?;
    trainer.run(&mut ()).ok()?;
    let outcome = trainer.finish();
    let bits = outcome.parameters.iter().map(|&w| contract_bits(w));
    Some((
        bits.collect(),
        outcome.iterations,
        outcome.train.loss.to_bits(),
    ))
}

#[test]
fn random_settings_give_the_same_bits_everywhere() {
    let count = match std::env::var_os("SECANT_EXHAUSTIVE") {
        None => 40,
        Some(_) => 1_000,
    };
    let seed = std::env::var("SECANT_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut draw = Draw(Random::new(seed, 0));
    let isas: Vec<Isa> = Isa::ALL
        .into_iter()
        .filter(|isa| isa.is_available())
        .collect();
    let (mut made, mut drawn, mut algorithms, mut optimizers) = (0, 0, 0, Vec::new());
    while made < count {
        drawn += 1;
        let dataset = draw.dataset();
        let words = draw.words(dataset.train.len());
        let Some(expected) = outcome(&words, "1", &dataset) else {
            continue;
        };
        made += 1;
        optimizers.push(words.split(' ').nth(5).unwrap().to_owned());
        for isa in &isas {
            Isa::force(*isa).unwrap();
            for threads in THREADS {
                let found = outcome(&words, threads, &dataset);
                let (isa, samples) = (isa.name(), dataset.train.len());
                let what = || format!("{words} --threads {threads}, {isa}, {samples} samples");
                assert!(found.as_ref() == Some(&expected), "{}", what());
            }
        }
        Isa::force(Isa::detect()).unwrap();
        // What may change the bits: that this is seen at all.
        let other = match words.contains("winograd") {
            true => words.replace("winograd", "direct"),
            false => words.replace("direct", "winograd"),
        };
        algorithms += u32::from(outcome(&other, "1", &dataset).as_ref() != Some(&expected));
    }
    optimizers.sort();
    optimizers.dedup();
    println!(
        "{made} settings of {drawn} drawn, {} optimisers, {} variants of each: none differs; the other algorithm \
         for convolutions changes {algorithms}",
        optimizers.len(),
        THREADS.len() * isas.len()
    );
    assert!(
        algorithms * 20 > count,
        "{algorithms} of {count}: the runs hardly train"
    );
}
