//! Networks by name or by a one-line description.
//!
//! ```text
//! SPEC   = LAYER { (" " | ",") LAYER }
//! LAYER  = "conv" outputs "k" kernel [ "s" stride ] [ "p" padding ]     conv16k3p1s2
//!        | "relu"
//!        | "pool" size [ "s" stride ]                                   pool2, pool3s2
//!        | "depthwise" kernel [ "s" stride ] [ "p" padding ]            depthwise3p1
//!        | "avgpool" size [ "s" stride ] | "globalavgpool"              avgpool2
//!        | "tanh" | "leakyrelu" slope                                   leakyrelu0.1
//!        | "linear" outputs                                             linear10
//!        | "dropout" probability                                        dropout0.2
//! ```
//! `s` and `p` may come in either order; without them a convolution has stride 1 and no padding,
//! and a pool's stride is its size. The input is 1 x 28 x 28 and the last layer must have ten
//! outputs, one a class.

use secant::network::{
    Layer, Network, Shape, ShapeError, avg_pool2d, conv2d, depthwise_conv2d, dropout,
    global_avg_pool2d, leaky_relu, linear, max_pool2d, relu, tanh,
};

use crate::dataset::{CLASSES, COLUMNS, ROWS};

/// Most layers of a network.
pub const MAX_LAYERS: usize = 32;

/// A network of the harness.
pub type Net = Network<'static, MAX_LAYERS>;

/// Most parameters of a network: sixteen million floats, 64 MB for each copy that an optimiser
/// keeps.
pub const MAX_PARAMETERS: usize = 1 << 24;

/// What a network is fed with: one grey image.
pub const INPUT: Shape = Shape::new(1, ROWS, COLUMNS);

/// Name, description and size of each preset.
pub const PRESETS: [(&str, &str); 4] = [
    ("micro", "conv8k3 relu pool2 conv16k3 relu pool2 linear10"),
    (
        "lenet",
        "conv6k5p2 relu pool2 conv16k5 relu pool2 linear120 relu linear84 relu linear10",
    ),
    (
        "seed",
        "conv32k3 relu pool2 conv64k3 relu pool2 conv64k3p1 relu pool2 linear250 relu dropout0.2 linear125 relu \
         dropout0.2 linear60 relu dropout0.2 linear10",
    ),
    (
        "2c2d",
        "conv32k5p2 relu pool2 conv64k5p2 relu pool2 linear1024 relu linear10",
    ),
];

/// A network with its name.
#[derive(Debug, Clone)]
pub struct Model {
    /// A preset's name, or the description itself.
    pub name: String,
    /// The description, also of a preset.
    pub spec: String,
    /// The network.
    pub network: Net,
}

/// A description that is not a network, as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ModelError(String);

impl std::str::FromStr for Model {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let text = text.trim();
        if let Some((name, spec)) = PRESETS.iter().find(|(name, _)| *name == text) {
            return build(name, spec);
        }
        let words: Vec<&str> = words(text).collect();
        if let [word] = words[..]
            && !word.contains(|c: char| c.is_ascii_digit())
            && word != "relu"
        {
            return Err(ModelError(unknown_preset(word)));
        }
        build(&words.join(" "), &words.join(" "))
    }
}

impl Model {
    /// Number of weights and biases, those of frozen layers too.
    pub fn parameter_count(&self) -> usize {
        self.network.frozen_weights().len() + self.network.parameter_count()
    }

    /// That number in words, and how many of them are trained, if not all.
    pub fn describe_parameters(&self) -> String {
        let (all, trained) = (self.parameter_count(), self.network.parameter_count());
        if trained < all {
            format!("{all} parameters, {trained} of them trained")
        } else {
            format!("{all} parameters")
        }
    }

    /// The name as part of a file's name: a preset's own, or `custom`.
    pub fn file_name(&self) -> &str {
        if PRESETS.iter().any(|(name, _)| *name == self.name) {
            &self.name
        } else {
            "custom"
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

fn unknown_preset(word: &str) -> String {
    let names = PRESETS.map(|(name, _)| name);
    let hint =
        closest(word, &names).map_or(String::new(), |name| format!(" (did you mean '{name}'?)"));
    format!(
        "'{word}' is neither a preset{hint} nor a description: the presets are {}, a description looks like \
         'conv8k3 relu pool2 linear10'",
        names.join(", ")
    )
}

/// The candidate that `word` is most likely a misspelling of.
fn closest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let scored = candidates
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate));
    scored
        .filter(|(score, _)| *score > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn build(name: &str, spec: &str) -> Result<Model, ModelError> {
    let mut layers = Vec::new();
    let mut tokens = Vec::new();
    for token in words(spec) {
        let layer = parse_layer(token).map_err(|why| {
            ModelError(format!(
                "layer {} of the model, '{token}': {why}",
                layers.len() + 1
            ))
        })?;
        layers.push(layer);
        tokens.push(token);
    }
    if layers.len() > MAX_LAYERS {
        return Err(ModelError(format!(
            "the model has {} layers, at most {MAX_LAYERS} are possible",
            layers.len()
        )));
    }
    let network = Network::try_from_slice(INPUT, &layers).map_err(|why| match why {
        ShapeError::Layer { index: i, .. } => {
            let Shape {
                channels,
                rows,
                columns,
            } = input_of(i, &layers);
            ModelError(format!(
                "{why} ('{}', which gets {channels} x {rows} x {columns} values)",
                tokens[i]
            ))
        }
        _ => ModelError(format!("the model: {why}")),
    })?;
    if network.parameter_count() > MAX_PARAMETERS {
        return Err(ModelError(format!(
            "the model has {} parameters, at most {MAX_PARAMETERS} are possible",
            network.parameter_count()
        )));
    }
    if network.output_len() != CLASSES {
        return Err(ModelError(format!(
            "the model ends with {} outputs, {CLASSES} are needed: one a class (end it with linear{CLASSES})",
            network.output_len()
        )));
    }
    Ok(Model {
        name: name.to_owned(),
        spec: tokens.join(" "),
        network,
    })
}

/// Shape that reaches layer `index`; the layers before it fit.
fn input_of(index: usize, layers: &[Layer]) -> Shape {
    layers[..index]
        .iter()
        .fold(INPUT, |shape, layer| layer.output(shape).unwrap_or(shape))
}

fn parse_layer(token: &str) -> Result<Layer, String> {
    let split = token
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(token.len());
    let (kind, settings) = token.split_at(split);
    match kind {
        "conv" => {
            let mut settings = Settings(settings);
            let outputs = settings.number("the number of outputs, as in conv8k3")?;
            settings.expect('k', "k and the kernel's size, as in conv8k3")?;
            let kernel = settings.number("the kernel's size after k, as in conv8k3")?;
            let (stride, padding) = settings.stride_and_padding()?;
            Ok(conv2d(outputs, kernel).stride(stride).padding(padding))
        }
        "depthwise" => {
            let mut settings = Settings(settings);
            let kernel = settings.number("the kernel's size, as in depthwise3")?;
            let (stride, padding) = settings.stride_and_padding()?;
            Ok(depthwise_conv2d(kernel).stride(stride).padding(padding))
        }
        "avgpool" => {
            let mut settings = Settings(settings);
            let size = settings.number("the window's size, as in avgpool2")?;
            let stride = if settings.take('s') {
                settings.number("the stride after s")?
            } else {
                size
            };
            settings.end(avg_pool2d(size).stride(stride))
        }
        "globalavgpool" => Settings(settings).end(global_avg_pool2d()),
        "tanh" => Settings(settings).end(tanh()),
        "leakyrelu" => match settings.parse::<f32>() {
            Ok(slope) if (0.0..=1.0).contains(&slope) => Ok(leaky_relu(slope)),
            _ => Err("expected a slope from 0 to 1, as in leakyrelu0.1".to_owned()),
        },
        "pool" => {
            let mut settings = Settings(settings);
            let size = settings.number("the window's size, as in pool2")?;
            let stride = if settings.take('s') {
                settings.number("the stride after s")?
            } else {
                size
            };
            settings.end(max_pool2d(size).stride(stride))
        }
        "linear" => {
            let mut settings = Settings(settings);
            let outputs = settings.number("the number of outputs, as in linear10")?;
            settings.end(linear(outputs))
        }
        "relu" => Settings(settings).end(relu()),
        "dropout" => match settings.parse::<f32>() {
            Ok(probability) if (0.0..1.0).contains(&probability) => Ok(dropout(probability)),
            _ => Err("expected a probability from 0 to below 1, as in dropout0.2".to_owned()),
        },
        other => {
            let kinds = [
                "conv",
                "relu",
                "pool",
                "linear",
                "dropout",
                "depthwise",
                "avgpool",
                "globalavgpool",
                "tanh",
                "leakyrelu",
            ];
            let hint = closest(other, &kinds)
                .map_or(String::new(), |kind| format!(" (did you mean '{kind}'?)"));
            Err(format!(
                "not a kind of layer{hint}; there are conv8k3, relu, pool2, linear10, dropout0.2, \
                 depthwise3, avgpool2, globalavgpool, tanh, leakyrelu0.1"
            ))
        }
    }
}

/// The rest of a token behind its kind.
struct Settings<'a>(&'a str);

impl Settings<'_> {
    fn number(&mut self, what: &str) -> Result<usize, String> {
        let end = self
            .0
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        match digits.parse::<usize>() {
            Ok(number) if number <= 65_536 => Ok(number),
            Ok(_) => Err(format!("{digits} is too large: at most 65536")),
            Err(_) if digits.is_empty() => Err(format!("expected {what}")),
            Err(_) => Err(format!("{digits} is too large: at most 65536")),
        }
    }

    /// `sSTRIDE` and `pPADDING` in either order, 1 and 0 without; nothing may be left over.
    fn stride_and_padding(&mut self) -> Result<(usize, usize), String> {
        let (mut stride, mut padding) = (None, None);
        while !self.0.is_empty() {
            if stride.is_none() && self.take('s') {
                stride = Some(self.number("the stride after s")?);
            } else if padding.is_none() && self.take('p') {
                padding = Some(self.number("the padding after p")?);
            } else {
                return Err(format!(
                    "'{}' is left over: after the kernel come sSTRIDE and pPADDING",
                    self.0
                ));
            }
        }
        Ok((stride.unwrap_or(1), padding.unwrap_or(0)))
    }

    fn take(&mut self, letter: char) -> bool {
        match self.0.strip_prefix(letter) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, letter: char, what: &str) -> Result<(), String> {
        if self.take(letter) {
            Ok(())
        } else {
            Err(format!("expected {what}"))
        }
    }

    fn end(&self, layer: Layer) -> Result<Layer, String> {
        if self.0.is_empty() {
            Ok(layer)
        } else {
            Err(format!("'{}' is left over", self.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secant::network::presets;

    fn refusal(spec: &str) -> String {
        spec.parse::<Model>().unwrap_err().to_string()
    }

    #[test]
    fn presets_are_the_library_s() {
        let layers = |name: &str| name.parse::<Model>().unwrap().network.layers().to_vec();
        assert_eq!(layers("micro"), presets::MICRO.layers());
        assert_eq!(layers("lenet"), presets::LENET.layers());
        assert_eq!(layers("seed"), presets::SEED.layers());
        assert_eq!(layers("2c2d"), presets::TWO_C_TWO_D.layers());
        for (name, _) in PRESETS {
            let model: Model = name.parse().unwrap();
            assert_eq!((model.name.as_str(), model.file_name()), (name, name));
        }
    }

    #[test]
    fn a_description_reads_as_written() {
        let others = "depthwise3p1s2 tanh avgpool2s1 leakyrelu0.1 globalavgpool linear10";
        let others: Model = others.parse().unwrap();
        let expected = [
            depthwise_conv2d(3).stride(2).padding(1),
            tanh(),
            avg_pool2d(2).stride(1),
            leaky_relu(0.1),
            global_avg_pool2d(),
            linear(10),
        ];
        assert_eq!(others.network.layers(), expected);
        let spec =
            " conv8k3  relu,pool2, conv16k3p1s2 relu conv4k2s1p1 pool3s2 dropout0.25 linear10";
        let model: Model = spec.parse().unwrap();
        let expected = [
            conv2d(8, 3),
            relu(),
            max_pool2d(2),
            conv2d(16, 3).padding(1).stride(2),
            relu(),
            conv2d(4, 2).padding(1),
            max_pool2d(3).stride(2),
            dropout(0.25),
            linear(10),
        ];
        assert_eq!(model.network.layers(), expected);
        assert_eq!(model.file_name(), "custom");
        assert_eq!(
            model.spec,
            "conv8k3 relu pool2 conv16k3p1s2 relu conv4k2s1p1 pool3s2 dropout0.25 linear10"
        );
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (spec, expected) in [
            (
                "micor",
                "'micor' is neither a preset (did you mean 'micro'?) nor a description: the presets are micro, lenet, seed, 2c2d, a description looks like 'conv8k3 relu pool2 linear10'",
            ),
            ("", "the model: a network needs at least one layer"),
            (
                "conv8k3 rlu linear10",
                "layer 2 of the model, 'rlu': not a kind of layer (did you mean 'relu'?); there are conv8k3, relu, pool2, linear10, dropout0.2, depthwise3, avgpool2, globalavgpool, tanh, leakyrelu0.1",
            ),
            (
                "conv8 linear10",
                "layer 1 of the model, 'conv8': expected k and the kernel's size, as in conv8k3",
            ),
            (
                "convk3 linear10",
                "layer 1 of the model, 'convk3': not a kind of layer (did you mean 'conv'?); there are conv8k3, relu, pool2, linear10, dropout0.2, depthwise3, avgpool2, globalavgpool, tanh, leakyrelu0.1",
            ),
            (
                "conv8k linear10",
                "layer 1 of the model, 'conv8k': expected the kernel's size after k, as in conv8k3",
            ),
            (
                "conv8k3s2s2 linear10",
                "layer 1 of the model, 'conv8k3s2s2': 's2' is left over: after the kernel come sSTRIDE and pPADDING",
            ),
            (
                "conv8k3ä linear10",
                "layer 1 of the model, 'conv8k3ä': 'ä' is left over: after the kernel come sSTRIDE and pPADDING",
            ),
            (
                "relu6 linear10",
                "layer 1 of the model, 'relu6': '6' is left over",
            ),
            (
                "pool linear10",
                "layer 1 of the model, 'pool': expected the window's size, as in pool2",
            ),
            (
                "dropout1.0 linear10",
                "layer 1 of the model, 'dropout1.0': expected a probability from 0 to below 1, as in dropout0.2",
            ),
            (
                "dropoutnan linear10",
                "layer 1 of the model, 'dropoutnan': not a kind of layer (did you mean 'dropout'?); there are conv8k3, relu, pool2, linear10, dropout0.2, depthwise3, avgpool2, globalavgpool, tanh, leakyrelu0.1",
            ),
            (
                "linear99999999999999999999",
                "layer 1 of the model, 'linear99999999999999999999': 99999999999999999999 is too large: at most 65536",
            ),
            (
                "pool2 conv8k15 linear10",
                "layer 2 (conv2d): the kernel or window of 15 x 15 is larger than the image of 14 x 14 that reaches the layer ('conv8k15', which gets 1 x 14 x 14 values)",
            ),
            (
                "conv8k0 linear10",
                "layer 1 (conv2d): kernel or window must be at least 1, not 0 ('conv8k0', which gets 1 x 28 x 28 values)",
            ),
            (
                "conv8k3 relu",
                "the model ends with 5408 outputs, 10 are needed: one a class (end it with linear10)",
            ),
            (
                "linear65536 linear65536 linear10",
                "layer 2 (linear): the layer's output or its weights are more than 2^28 values ('linear65536', which gets 65536 x 1 x 1 values)",
            ),
        ] {
            assert_eq!(refusal(spec), expected, "{spec}");
        }
        let long = ["relu"; 32].join(" ") + " linear10";
        assert_eq!(
            refusal(&long),
            "the model has 33 layers, at most 32 are possible"
        );
    }
}
