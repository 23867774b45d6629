"""The members of the cnn family."""

from quintet.models.cnn.fits import textcnn_fits
from quintet.models.member import Member

MEMBERS: dict[str, Member] = {
    "lenet": Member(
        path="quintet.models.cnn.lenet:LeNet",
        title="LeNet-5",
        paper="LeCun, Bottou, Bengio, Haffner 1998, Gradient-Based Learning Applied to Document Recognition",
        inputs=("image",),
    ),
    "alexnet": Member(
        path="quintet.models.cnn.alexnet:AlexNet",
        title="AlexNet",
        paper="Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks",
        inputs=("image",),
    ),
    "vgg": Member(
        path="quintet.models.cnn.vgg:VGG",
        title="VGG",
        variant="VGG-{depth}",
        paper="Simonyan, Zisserman 2015, Very Deep Convolutional Networks for Large-Scale Image Recognition",
        inputs=("image",),
    ),
    "resnet": Member(
        path="quintet.models.cnn.resnet:ResNet",
        title="ResNet",
        variant="ResNet-{depth}",
        paper="He, Zhang, Ren, Sun 2016, Deep Residual Learning for Image Recognition (ImageNet networks)",
        inputs=("image",),
    ),
    "resnet-cifar": Member(
        path="quintet.models.cnn.resnet_cifar:ResNetCifar",
        title="ResNet for small images",
        variant="ResNet-{depth}",
        paper="He, Zhang, Ren, Sun 2016, Deep Residual Learning for Image Recognition (CIFAR-10 networks)",
        inputs=("image",),
    ),
    "textcnn": Member(
        path="quintet.models.cnn.textcnn:TextCNN",
        title="TextCNN",
        paper="Kim 2014, Convolutional Neural Networks for Sentence Classification",
        inputs=("text",),
        fits=textcnn_fits,
    ),
    "vae": Member(
        path="quintet.models.cnn.vae:VAE",
        title="VAE",
        paper="Kingma, Welling 2014, Auto-Encoding Variational Bayes",
        inputs=("image",),
        contract="generator",
    ),
}
