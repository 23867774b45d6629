"""The members of the transformer family."""

from quintet.models.member import Member
from quintet.models.transformer.fits import heads_fit, text_encoder_fits, vit_fits

MEMBERS: dict[str, Member] = {
    "vit": Member(
        path="quintet.models.transformer.vit:ViT",
        title="ViT",
        variant="ViT/{patch_size}",
        paper="Dosovitskiy et al. 2021, An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
        inputs=("image",),
        fits=vit_fits,
    ),
    "encoder": Member(
        path="quintet.models.transformer.text_encoder:TextEncoder",
        title="Transformer encoder",
        paper="Vaswani et al. 2017, Attention Is All You Need",
        inputs=("text",),
        fits=text_encoder_fits,
    ),
    "image-gpt": Member(
        path="quintet.models.transformer.image_gpt:ImageGPT",
        title="Image GPT",
        paper="Chen et al. 2020, Generative Pretraining from Pixels",
        inputs=("image",),
        contract="generator",
        fits=lambda settings, shape: heads_fit(settings),
    ),
}
