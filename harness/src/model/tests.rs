use super::*;
use secant::network::{
    avg_pool2d, conv1d, conv2d, depthwise_conv1d, depthwise_conv2d, dropout, global_avg_pool2d,
    leaky_relu, linear, max_pool1d, max_pool2d, presets, relu, sigmoid, tanh,
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
            "layer 2 of the model, 'rlu': not a kind of layer (did you mean 'relu'?); there are conv8k3, relu, pool2, linear10, dropout0.2, depthwise3, avgpool2, globalavgpool, tanh, sigmoid, leakyrelu0.1, groupnorm4, layernorm, and conv1d8k5, pool1d2, avgpool1d2, depthwise1d5 for signals",
        ),
        (
            "conv8 linear10",
            "layer 1 of the model, 'conv8': expected k and the kernel's size, as in conv8k3",
        ),
        (
            "convk3 linear10",
            "layer 1 of the model, 'convk3': not a kind of layer (did you mean 'conv'?); there are conv8k3, relu, pool2, linear10, dropout0.2, depthwise3, avgpool2, globalavgpool, tanh, sigmoid, leakyrelu0.1, groupnorm4, layernorm, and conv1d8k5, pool1d2, avgpool1d2, depthwise1d5 for signals",
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
            "layer 1 of the model, 'dropoutnan': not a kind of layer (did you mean 'dropout'?); there are conv8k3, relu, pool2, linear10, dropout0.2, depthwise3, avgpool2, globalavgpool, tanh, sigmoid, leakyrelu0.1, groupnorm4, layernorm, and conv1d8k5, pool1d2, avgpool1d2, depthwise1d5 for signals",
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
            "conv8k3 relu linear11",
            "the model ends with 11 outputs, 10 are needed: one a class (end it with linear10, or leave its last layer out)",
        ),
        (
            "linear8192 linear8192 linear10",
            "the model has 73629706 parameters, at most 16777216 are possible",
        ),
    ] {
        assert_eq!(refusal(spec), expected, "{spec}");
    }
    assert!(refusal("conv8k0 linear10").starts_with("layer 1 (conv2d): "));
    let long = ["relu"; 32].join(" ") + " linear10";
    assert_eq!(
        refusal(&long),
        "the model has 33 layers, at most 32 are possible"
    );
}

#[test]
fn rectangles_and_signals_read_as_written() {
    let task = Task {
        input: Shape::signal(3, 64),
        outputs: 4,
        predicted: Predicted::Classes,
    };
    let text =
        "conv1d8k5s2p2 relu pool1d2 conv4k1x3p0x1s1x2 sigmoid avgpool1x2 depthwise1d3 linear4";
    let model = text.parse::<Description>().unwrap().fit(task).unwrap();
    let expected = [
        conv1d(8, 5).stride(2).padding(2),
        relu(),
        max_pool1d(2),
        conv2d(4, 1).kernel(1, 3).paddings(0, 1).strides(1, 2),
        sigmoid(),
        avg_pool2d(1).kernel(1, 2),
        depthwise_conv1d(3),
        linear(4),
    ];
    assert_eq!(model.network.layers(), expected);
    assert_eq!((model.spec.as_str(), model.note), (text, None));
    let model: Model = "conv2k8x3p1x2 depthwise3x1 pool1x2".parse().unwrap();
    assert_eq!(model.network.shape(1), Shape::new(2, 23, 30));
    assert_eq!(model.network.shape(2), Shape::new(2, 21, 30));
    assert_eq!(model.network.shape(3), Shape::new(2, 21, 15));
}

#[test]
fn the_last_layer_follows_the_classes_unless_it_is_written() {
    let task = Task {
        input: Shape::new(3, 20, 14),
        outputs: 3,
        predicted: Predicted::Classes,
    };
    let fit = |text: &str| text.parse::<Description>().unwrap().fit(task);
    let model = fit("micro").unwrap();
    assert_eq!(model.name, "micro");
    assert_eq!(model.spec, "conv8k3 relu pool2 conv16k3 relu pool2 linear3");
    let model = fit("conv8k3 relu").unwrap();
    assert_eq!(model.spec, "conv8k3 relu linear3");
    assert!(model.note.unwrap().contains("linear3"));
    // Three outputs without a linear layer at the end.
    let model = fit("conv3k1 globalavgpool").unwrap();
    assert_eq!((model.network.layers().len(), model.note), (2, None));
    assert_eq!(
        fit("pool2 linear10").unwrap_err().to_string(),
        "the model ends with 10 outputs, 3 are needed: one a class (end it with linear3, or leave its last layer out)"
    );
    let task = Task {
        input: Shape::signal(6, 100),
        outputs: 4,
        predicted: Predicted::Classes,
    };
    let refused = "micro".parse::<Description>().unwrap().fit(task);
    let line = refused.unwrap_err().to_string();
    assert!(
        line.starts_with("the model micro does not fit samples of 6 x 1 x 100: layer 1 (conv2d): ")
            && line.ends_with("; try --model 'conv1d8k5p2 relu pool1d2 conv1d16k5p2 relu pool1d2'"),
        "{line}"
    );
}

#[test]
fn every_shape_has_a_model_that_fits() {
    for channels in [1, 3] {
        for rows in (1..34).chain([100]) {
            for columns in (1..34).chain([100]) {
                let task = Task {
                    input: Shape::new(channels, rows, columns),
                    outputs: 2,
                    predicted: Predicted::Classes,
                };
                let model = Description::model(None, task).unwrap();
                assert_eq!(model.network.output_len(), 2, "{rows} x {columns}");
            }
        }
    }
    let model = Description::model(None, Task::FASHION_MNIST).unwrap();
    assert_eq!(model.name, "micro");
}
