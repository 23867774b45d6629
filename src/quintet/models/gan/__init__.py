"""The members of the gan family. What a generator promises stands in `models/layers/generative.py`."""

from quintet.models.gan.fits import at_least_eight
from quintet.models.member import Member

MEMBERS: dict[str, Member] = {
    "gan": Member(
        path="quintet.models.gan.gan:GAN",
        title="GAN",
        paper="Goodfellow et al. 2014, Generative Adversarial Networks",
        inputs=("image",),
        contract="generator",
    ),
    "cgan": Member(
        path="quintet.models.gan.cgan:ConditionalGAN",
        title="Conditional GAN",
        paper="Mirza, Osindero 2014, Conditional Generative Adversarial Nets",
        inputs=("image",),
        contract="generator",
        conditional=True,
    ),
    "dcgan": Member(
        path="quintet.models.gan.dcgan:DCGAN",
        title="DCGAN",
        paper="Radford, Metz, Chintala 2016, Unsupervised Representation Learning with Deep Convolutional GANs",
        inputs=("image",),
        contract="generator",
    ),
    "stylegan": Member(
        path="quintet.models.gan.stylegan:StyleGAN",
        title="StyleGAN",
        paper="Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN",
        inputs=("image",),
        contract="generator",
    ),
    "context-encoder": Member(
        path="quintet.models.gan.context_encoder:ContextEncoder",
        title="Context encoder",
        paper="Pathak et al. 2016, Context Encoders: Feature Learning by Inpainting",
        inputs=("image",),
        contract="translator",
        fits=at_least_eight,
    ),
    "pix2pix": Member(
        path="quintet.models.gan.pix2pix:Pix2Pix",
        title="pix2pix",
        paper="Isola, Zhu, Zhou, Efros 2017, Image-to-Image Translation with Conditional Adversarial Networks",
        inputs=("image",),
        contract="translator",
        fits=at_least_eight,
    ),
    "cyclegan": Member(
        path="quintet.models.gan.cyclegan:CycleGAN",
        title="CycleGAN",
        paper="Zhu, Park, Isola, Efros 2017, Unpaired Image-to-Image Translation using Cycle-Consistent Networks",
        inputs=("image",),
        contract="stylist",
        fits=at_least_eight,
    ),
}
