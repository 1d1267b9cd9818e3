use super::*;
use secant::network::{
    avg_pool2d, conv1d, conv2d, depthwise_conv2d, dropout, global_avg_pool2d, leaky_relu, linear,
    max_pool1d, max_pool2d, presets, relu, tanh,
};

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
    let spec = " conv8k3  relu,pool2, conv16k3p1s2 relu conv4k2s1p1 pool3s2 dropout0.25 linear10";
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
            "layer 2: the kernel or window is larger than the image that reaches the layer ('conv8k15', which gets 1 x 14 x 14 values)",
        ),
        (
            "conv8k0 linear10",
            "layer 1: outputs, kernel, size and stride must be at least 1 ('conv8k0', which gets 1 x 28 x 28 values)",
        ),
        (
            "conv8k3 relu",
            "the model ends with 5408 outputs, 10 are needed: one a class (end it with linear10)",
        ),
        (
            "linear65536 linear65536 linear10",
            "the model has 4347133962 parameters, at most 16777216 are possible",
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
