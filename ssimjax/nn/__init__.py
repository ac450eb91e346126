"""Flax modules: the SSIM layer and the models of the papers."""

from ssimjax.nn import linen as linen
from ssimjax.nn.autoencoders import Autoencoder as Autoencoder
from ssimjax.nn.autoencoders import Decoder as Decoder
from ssimjax.nn.autoencoders import Encoder as Encoder
from ssimjax.nn.autoencoders import VariationalAutoencoder as VariationalAutoencoder
from ssimjax.nn.classifiers import QuickClassifier as QuickClassifier
from ssimjax.nn.classifiers import ShallowClassifier as ShallowClassifier
from ssimjax.nn.generative import MLP as MLP
from ssimjax.nn.generative import DenseGenerator as DenseGenerator
from ssimjax.nn.generative import Discriminator as Discriminator
from ssimjax.nn.inception import inception_features as inception_features
from ssimjax.nn.inception import load_inception as load_inception
from ssimjax.nn.pooling import avg_pool as avg_pool
from ssimjax.nn.pooling import max_pool as max_pool
from ssimjax.nn.ssim_conv import SSIMConv as SSIMConv
from ssimjax.nn.super_resolution import SRCNN as SRCNN
from ssimjax.nn.upsampling import UpsampleConv as UpsampleConv
