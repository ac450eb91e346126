"""Sources of examples and the batch pipeline."""

from ssimjax.data.arrays import Arrays as Arrays
from ssimjax.data.arrays import Dataset as Dataset
from ssimjax.data.arrays import spread_indices as spread_indices
from ssimjax.data.augmentation import random_crop as random_crop
from ssimjax.data.augmentation import random_flip as random_flip
from ssimjax.data.augmentation import random_orientation as random_orientation
from ssimjax.data.augmentation import random_resized_crop as random_resized_crop
from ssimjax.data.augmentation import random_window as random_window
from ssimjax.data.augmentation import resized as resized
from ssimjax.data.batches import Batch as Batch
from ssimjax.data.batches import batch_indices as batch_indices
from ssimjax.data.batches import eval_batches as eval_batches
from ssimjax.data.batches import gather as gather
from ssimjax.data.batches import read_ahead as read_ahead
from ssimjax.data.cache import cached as cached
from ssimjax.data.image_files import file_patches as file_patches
from ssimjax.data.image_files import image_files as image_files
from ssimjax.data.image_files import read_image as read_image
from ssimjax.data.opening import checked_dataset as checked_dataset
from ssimjax.data.opening import open_dataset as open_dataset
from ssimjax.data.photographs import photograph_patches as photograph_patches
from ssimjax.data.sources import TFDS as TFDS
from ssimjax.data.sources import Folder as Folder
from ssimjax.data.sources import Source as Source
from ssimjax.data.sources import Squares as Squares
from ssimjax.data.sources import decode as decode
