//! The language of models: one word a layer.

use secant::network::{
    Layer, avg_pool2d, conv2d, depthwise_conv2d, dropout, global_avg_pool2d, group_norm,
    layer_norm, leaky_relu, linear, max_pool2d, relu, sigmoid, tanh,
};

/// The candidate that `word` is most likely a misspelling of.
pub(super) fn closest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let scored = candidates
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate));
    scored
        .filter(|(score, _)| *score > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// One layer from its word.
///
/// # Errors
/// A phrase that says what is wrong with the word.
pub(super) fn parse_layer(token: &str) -> Result<Layer, String> {
    let split = token
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(token.len());
    let (kind, settings) = token.split_at(split);
    match kind {
        "conv" => {
            let mut settings = Settings(settings);
            let signal = settings.signal();
            let outputs = settings.number("the number of outputs, as in conv8k3")?;
            settings.expect('k', "k and the kernel's size, as in conv8k3")?;
            let kernel = settings.size("the kernel's size after k, as in conv8k3", signal)?;
            settings.stride_and_padding(kernel.of(conv2d(outputs, 1)))
        }
        "depthwise" => {
            let mut settings = Settings(settings);
            let signal = settings.signal();
            let kernel = settings.size("the kernel's size, as in depthwise3", signal)?;
            settings.stride_and_padding(kernel.of(depthwise_conv2d(1)))
        }
        "avgpool" => settings_of_pool(settings, "the window's size, as in avgpool2", avg_pool2d(1)),
        "globalavgpool" => Settings(settings).end(global_avg_pool2d()),
        "tanh" => Settings(settings).end(tanh()),
        "sigmoid" => Settings(settings).end(sigmoid()),
        "layernorm" => Settings(settings).end(layer_norm()),
        "groupnorm" => {
            let mut settings = Settings(settings);
            let groups = settings.number("the number of groups, as in groupnorm4")?;
            settings.end(group_norm(groups))
        }
        "leakyrelu" => match settings.parse::<f32>() {
            Ok(slope) if (0.0..=1.0).contains(&slope) => Ok(leaky_relu(slope)),
            _ => Err("expected a slope from 0 to 1, as in leakyrelu0.1".to_owned()),
        },
        "pool" => settings_of_pool(settings, "the window's size, as in pool2", max_pool2d(1)),
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
                "sigmoid",
                "groupnorm",
                "layernorm",
                "leakyrelu",
            ];
            let hint = closest(other, &kinds)
                .map_or(String::new(), |kind| format!(" (did you mean '{kind}'?)"));
            Err(format!(
                "not a kind of layer{hint}; there are conv8k3, relu, pool2, linear10, dropout0.2, \
                 depthwise3, avgpool2, globalavgpool, tanh, sigmoid, leakyrelu0.1, groupnorm4, layernorm, and \
                 conv1d8k5, pool1d2, avgpool1d2, \
                 depthwise1d5 for signals"
            ))
        }
    }
}

/// The word of a layer.
pub fn word(layer: &Layer) -> String {
    let two = |[rows, columns]: [usize; 2]| match rows == columns {
        true => format!("{rows}"),
        false => format!("{rows}x{columns}"),
    };
    let unless = |mark: &str, size: [usize; 2], usual: [usize; 2]| match size == usual {
        true => String::new(),
        false => format!("{mark}{}", two(size)),
    };
    let moves = |stride, padding| {
        let stride = unless("s", stride, [1, 1]);
        format!("{stride}{}", unless("p", padding, [0, 0]))
    };
    let pool = |name: &str, size: [usize; 2], stride: [usize; 2]| {
        format!("{name}{}{}", two(size), unless("s", stride, size))
    };
    match layer {
        Layer::Conv2d(conv) => format!(
            "conv{}k{}{}",
            conv.outputs,
            two(conv.kernel),
            moves(conv.stride, conv.padding)
        ),
        Layer::DepthwiseConv2d(conv) => format!(
            "depthwise{}{}",
            two(conv.kernel),
            moves(conv.stride, conv.padding)
        ),
        Layer::MaxPool2d(window) => pool("pool", window.size, window.stride),
        Layer::AvgPool2d(window) => pool("avgpool", window.size, window.stride),
        Layer::GlobalAvgPool2d => "globalavgpool".to_owned(),
        Layer::Linear(linear) => format!("linear{}", linear.outputs),
        Layer::Relu => "relu".to_owned(),
        Layer::LeakyRelu(slope) => format!("leakyrelu{slope}"),
        Layer::Tanh => "tanh".to_owned(),
        Layer::Sigmoid => "sigmoid".to_owned(),
        Layer::Dropout(probability) => format!("dropout{probability}"),
        Layer::GroupNorm(norm) => format!("groupnorm{}", norm.groups),
        layer => layer.name().to_owned(),
    }
}

/// A pool from the rest of its word.
fn settings_of_pool(settings: &str, what: &str, pool: Layer) -> Result<Layer, String> {
    let mut settings = Settings(settings);
    let signal = settings.signal();
    let mut pool = settings.size(what, signal)?.of(pool);
    if settings.take('s') {
        pool = settings.size("the stride after s", false)?.stride(pool);
    }
    settings.end(pool)
}

/// One number for both axes, or one for rows and one for columns.
#[derive(Clone, Copy)]
enum Size {
    Square(usize),
    Rectangle(usize, usize),
}

impl Size {
    /// The layer with a kernel or windows of this size.
    fn of(self, layer: Layer) -> Layer {
        match self {
            Size::Square(size) => layer.kernel(size, size),
            Size::Rectangle(rows, columns) => layer.kernel(rows, columns),
        }
    }

    fn stride(self, layer: Layer) -> Layer {
        match self {
            Size::Square(step) => layer.stride(step),
            Size::Rectangle(rows, columns) => layer.strides(rows, columns),
        }
    }

    fn padding(self, layer: Layer) -> Layer {
        match self {
            Size::Square(width) => layer.padding(width),
            Size::Rectangle(rows, columns) => layer.paddings(rows, columns),
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

    /// Takes the `1d` of a layer for signals.
    fn signal(&mut self) -> bool {
        match self.0.strip_prefix("1d") {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// `N` or `RxC`; the length of one row for a signal.
    fn size(&mut self, what: &str, signal: bool) -> Result<Size, String> {
        let first = self.number(what)?;
        if signal {
            return Ok(Size::Rectangle(1, first));
        }
        if self.take('x') {
            return Ok(Size::Rectangle(
                first,
                self.number("the number of columns after x")?,
            ));
        }
        Ok(Size::Square(first))
    }

    /// `sSTRIDE` and `pPADDING` in either order, 1 and 0 without; nothing may be left over.
    fn stride_and_padding(&mut self, layer: Layer) -> Result<Layer, String> {
        let (mut stride, mut padding) = (None, None);
        while !self.0.is_empty() {
            if stride.is_none() && self.take('s') {
                stride = Some(self.size("the stride after s", false)?);
            } else if padding.is_none() && self.take('p') {
                padding = Some(self.size("the padding after p", false)?);
            } else {
                return Err(format!(
                    "'{}' is left over: after the kernel come sSTRIDE and pPADDING",
                    self.0
                ));
            }
        }
        let layer = stride.map_or(layer, |stride| stride.stride(layer));
        Ok(padding.map_or(layer, |padding| padding.padding(layer)))
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
